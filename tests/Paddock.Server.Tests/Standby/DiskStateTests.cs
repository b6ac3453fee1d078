using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Standby;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests.Standby;

/// <summary>Names of the states of a disk in the live feed.</summary>
public sealed class DiskStateTests
{
    [Fact]
    public async Task Disk_is_handing_over_until_the_image_is_released()
    {
        string folder = Directory.CreateTempSubdirectory("paddock-state-").FullName;
        try
        {
            string image = Path.Combine(folder, "disk.qcow2");
            await ImageFile.CreateAsync(image, TestServer.Zone);
            var opener = new ImageOpener("test", TextWriter.Null);
            using var disk = await ServedDisk.OpenAsync(opener, new ServedImage { Path = image }, "disk", null);
            Assert.Equal("active", disk.StateName);
            Assert.True(await disk.TryBlockCommandsAsync(TimeSpan.Zero));
            Assert.Equal("handing over", disk.StateName);
            disk.UnblockCommands();
            Assert.Equal("active", disk.StateName);
            Assert.True(await disk.TryBlockCommandsAsync(TimeSpan.Zero));
            var node = disk.Deactivate(DiskState.Standby, "handed over");
            Assert.Equal("standby", disk.StateName);
            disk.UnblockCommands();
            Assert.Null(await ServedDisk.CloseAsync(node));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
