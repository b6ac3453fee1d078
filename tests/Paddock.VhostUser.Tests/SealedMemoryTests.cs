using Microsoft.Win32.SafeHandles;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>Unsealed memory is rejected by default: truncation by its owner would kill the server.</summary>
public sealed class SealedMemoryTests : IDisposable
{
    private const ulong GuestAt = 0x10_0000;
    private const int RamBytes = 4 << 20;

    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public async Task Unsealable_memory_is_rejected_with_the_reason()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var file = Unsealable();
        foreach (var (request, payload) in Requests(ram))
        {
            using var frontEnd = bench.Connect(ram);
            frontEnd.Negotiate();
            Assert.Equal(1UL, frontEnd.Tell(request, payload, acknowledged: true, file));
            Assert.Contains($"{request} is refused: memory to share cannot be sealed", bench.Log, StringComparison.Ordinal);
        }

        var (last, ring) = bench.Start(ram);
        using (last)
        using (ring)
        {
            last.Write(ring, 0, new byte[512]);
        }
    }

    [Fact]
    public async Task Unsealable_inflight_record_is_rejected()
    {
        await using var bench = new Bench();
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var file = Unsealable();
        using var frontEnd = bench.Connect(ram);
        frontEnd.Negotiate();
        byte[] description = new byte[InflightDescription.Size];
        new InflightDescription(1 << 20, 0, 1, 64).WriteTo(description);
        Assert.Equal(1UL, frontEnd.Tell(FrontEndRequest.SetInflightDescriptor, description, acknowledged: true, file));
        Assert.Contains("cannot be sealed", bench.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unsealable_memory_is_accepted_if_allowed()
    {
        await using var bench = new Bench(sealedMemoryOnly: false);
        using var ram = new GuestRam(GuestAt, RamBytes);
        using var file = Unsealable();
        foreach (var (request, payload) in Requests(ram))
        {
            using var frontEnd = bench.Connect(ram);
            frontEnd.Negotiate();
            Assert.Equal(0UL, frontEnd.Tell(request, payload, acknowledged: true, file));
        }
    }

    public void Dispose() => File.Delete(_path);

    private static (FrontEndRequest Request, byte[] Payload)[] Requests(GuestRam ram)
    {
        byte[] table = new byte[MemoryTable.SizeOf(1)], region = new byte[SingleRegion.Size];
        MemoryTable.Write(table, [ram.Description]);
        SingleRegion.Write(region, ram.Description);
        return [(FrontEndRequest.SetMemoryTable, table), (FrontEndRequest.AddMemoryRegion, region)];
    }

    private SafeFileHandle Unsealable()
    {
        var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite);
        RandomAccess.SetLength(file, RamBytes);
        return file;
    }
}
