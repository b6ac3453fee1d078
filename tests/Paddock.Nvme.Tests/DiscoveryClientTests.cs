using System.Buffers.Binary;
using System.Net;
using Paddock.Nvme.Host;
using Paddock.Nvme.Identify;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>The discovery log, as a host reads it.</summary>
public class DiscoveryClientTests
{
    [Fact]
    public async Task Host_lists_the_subsystems_of_a_server()
    {
        await using var bench = await Bench.StartAsync();
        for (int i = 0; i < 10; i++)
        {
            bench.Target.Add(new NvmeSubsystem($"nqn.2026-01.io.paddock:n{i}", "N"));
        }

        var found = await DiscoveryClient.ListAsync(bench.HostOptions(), TestContext.Current.CancellationToken);
        Assert.Equal([bench.Subsystem.Nqn, .. Enumerable.Range(0, 10).Select(static i => $"nqn.2026-01.io.paddock:n{i}")],
            found.Select(static s => s.Nqn));
        Assert.All(found, s => Assert.Equal(("127.0.0.1", bench.Server.Address.Port), (s.Address, s.Port)));
    }

    [Fact]
    public async Task Subsystem_that_rejects_the_host_is_not_listed()
    {
        await using var bench = await Bench.StartAsync();
        bench.Subsystem.AllowedHosts = new HashSet<string> { "nqn.2014-08.org.example:friend" };
        Assert.Empty(await DiscoveryClient.ListAsync(bench.HostOptions(), TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(0, (byte)1)]
    [InlineData(2, (byte)3)]
    [InlineData(32, (byte)'x')]
    [InlineData(256, (byte)0)]
    [InlineData(512, (byte)0)]
    public void Entry_that_names_no_subsystem_over_TCP_is_left_out(int offset, byte value)
    {
        byte[] page = DiscoveryLog.Build(1, new IPEndPoint(IPAddress.Loopback, 4420), ["nqn.a"]);
        var entry = page.AsSpan(2 * DiscoveryLog.EntrySize);
        Assert.Equal(new DiscoveredSubsystem("nqn.a", "127.0.0.1", 4420), DiscoveryLog.ReadEntry(entry));
        entry[offset] = value;
        Assert.Null(DiscoveryLog.ReadEntry(entry));
    }

    [Fact]
    public void Arbitrary_entries_are_read_without_a_failure()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        byte[] entry = new byte[DiscoveryLog.EntrySize];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(entry);
            entry[0] = 3;
            entry[2] = 2;
            BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(32), (ushort)random.Next(0x3030, 0x3939));
            entry[34] = (byte)random.Next(2);
            var found = DiscoveryLog.ReadEntry(entry);
            Assert.True(found is null or { Nqn.Length: > 0 and <= 223, Port: > 0 }, $"seed {seed}: {found}");
        }
    }
}
