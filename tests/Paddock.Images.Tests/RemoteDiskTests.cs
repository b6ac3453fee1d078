using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd;
using Paddock.Nvme;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Remote disks by name, for the library.</summary>
public sealed class RemoteDiskTests : IDisposable
{
    private const long MiB = 1 << 20;

    private readonly TempFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Nvme_name_opens_a_namespace_with_its_zones()
    {
        var options = new Qcow2CreateOptions { Zoned = new ZonedCreateOptions { ZoneSize = MiB } };
        await using var image = await Qcow2Disk.CreateAsync(_folder.File("z.qcow2"), 8 * MiB, options, cancellationToken: Token);
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST");
        subsystem.Add(new NvmeNamespace(1, image, 512, "disk"));
        var target = new NvmeTarget(new NvmeTargetOptions());
        target.Add(subsystem);
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        await using var server = new NvmeTcpServer(target, listener);
        string name = $"nvme+tcp://127.0.0.1:{server.Address.Port}/{subsystem.Nqn}";
        await using var disk = await Disk.OpenAsync(name, cancellationToken: Token);
        Assert.Equal(("raw", 8 * MiB), (disk.Format, disk.Length));
        Assert.Equal(2 * MiB, await disk.Zones!.AppendAsync(2 * MiB, new byte[4096], cancellationToken: Token));
        Assert.Equal((2 * MiB) + 4096, (await image.Zones!.ReportAllAsync(Token))[2].WritePointer);
    }

    [Fact]
    public async Task Nvme_name_with_several_addresses_uses_the_path_that_is_there()
    {
        await using var image = await Qcow2Disk.CreateAsync(_folder.File("p.qcow2"), MiB, cancellationToken: Token);
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST");
        subsystem.Add(new NvmeNamespace(1, image, 512, "disk"));
        var target = new NvmeTarget(new NvmeTargetOptions());
        target.Add(subsystem);
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        await using var server = new NvmeTcpServer(target, listener);

        // nobody listens at the other address
        using var closed = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        closed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        string addresses = $"127.0.0.1:{((IPEndPoint)closed.LocalEndPoint!).Port},127.0.0.1:{server.Address.Port}";
        await using var disk = await Disk.OpenAsync($"nvme+tcp://{addresses}/{subsystem.Nqn}", cancellationToken: Token);
        await disk.WriteAsync(0, new byte[512], cancellationToken: Token);
        await disk.FlushAsync(Token);
        Assert.Equal(512, subsystem.Namespaces[0].Statistics.BytesWritten);
    }

    [Fact]
    public async Task Nbd_name_opens_an_export_and_a_missing_server_has_a_code()
    {
        string path = _folder.File("s");
        await using var image = await Qcow2Disk.CreateAsync(_folder.File("a.qcow2"), MiB, cancellationToken: Token);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        await using (var server = new NbdServer(new NbdServerOptions(), new NbdExport { Name = "", Device = image }))
        {
            server.Listen(listener);
            await using var disk = await Disk.OpenAsync($"nbd+unix:///?socket={path}", cancellationToken: Token);
            byte[] data = [.. Enumerable.Repeat((byte)9, 512)];
            await disk.WriteAsync(512, data, cancellationToken: Token);
            byte[] found = new byte[512];
            await image.ReadAsync(512, found, Token);
            Assert.Equal(data, found);
        }

        var e = await Assert.ThrowsAnyAsync<BlockException>(
            () => Disk.OpenAsync($"nbd+unix:///?socket={path}.none", cancellationToken: Token));
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAnyAsync<BlockException>(() => Disk.OpenAsync("nbd://localhost:0x/disk", cancellationToken: Token));
        Assert.Equal(BlockError.InvalidArgument, e.Error);
    }
}
