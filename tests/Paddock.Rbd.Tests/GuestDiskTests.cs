using System.Text.Json;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VfioUser;
using Paddock.Testing.Protocols.VhostUser;

namespace Paddock.Rbd.Tests;

/// <summary>An image in RBD as a disk of virtual machines: over vhost-user and over vfio-user.</summary>
public sealed class GuestDiskTests(CephCluster cluster) : IDisposable
{
    private const int Block = 4096;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-rbd-guest-").FullName;
    private readonly DeviceMemory _memory = new(8 << 20);

    private static string Paddock => string.Join(' ', ServerProcess.Program);

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Guests_write_and_append_to_one_image(bool packed)
    {
        string name = cluster.NameOf(CephCluster.NewImage());
        await Peer.MustAsync("bash", "-c", $"{Paddock} create {name} {Guest.Zones}M --zone-size 1M");
        string blk = Path.Combine(_folder, "blk"), pci = Path.Combine(_folder, "pci");
        await using (var server = await ServerProcess.ServeAsync(name, "--vhost-user", blk, "--vfio-user", pci))
        {
            using var guest = Guest.Connect(blk, rings: 2, packed, memory: 16 << 20);
            byte[] data = new byte[Block];
            data.AsSpan().Fill(7);
            guest.FrontEnd.Write(guest.Rings[1], Guest.Zone, data);

            using var driver = NvmeDriver.Start(new VfioClient(VfioClient.ConnectSocket(pci)), _memory);
            using var queue = driver.CreateQueue(1, 16);
            ulong buffer = driver.Reserve(Block);
            const uint zoneSector = Guest.Zone / 512;
            Assert.Equal(0, queue.Run(NvmeDriver.Read, 1, buffer, Block, zoneSector, 0, (Block / 512) - 1).Status);
            Assert.Equal(data, _memory.Span(buffer, Block).ToArray());
            var done = queue.Run(NvmeDriver.Append, 1, buffer, Block, zoneSector, 0, (Block / 512) - 1);
            Assert.Equal((0, zoneSector + (Block / 512)), (done.Code, (uint)done.Result));
            Assert.Equal(0, queue.Run(NvmeDriver.Flush, 1).Status);
            Assert.Equal(data, guest.Read(Guest.Zone + Block, Block));
            Assert.Equal(Guest.Zone + (2 * Block), guest.Report()[1].Pointer);

            // everything was flushed: nothing is lost by the end of the process
            await server.KillAsync();
        }

        string zones = await Peer.MustAsync("bash", "-c", $"{Paddock} zones --json {name}");
        var zone = JsonDocument.Parse(zones).RootElement.GetProperty("zones")[1];
        Assert.Equal(Guest.Zone + (2 * Block), zone.GetProperty("write_pointer").GetInt64());
        await Peer.MustAsync("bash", "-c", $"{Paddock} check {name}");
    }
}
