using Paddock.Block;
using Paddock.Images;
using Paddock.Qcow2;
using Paddock.Server.Disks;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;

namespace Paddock.Server.Tests.VhostUser;

/// <summary>Layers between a listener and an image forward everything that the listener relies on.</summary>
public class ServedDiskTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Offset_of_an_append_passes_every_layer_of_a_served_disk(bool cached)
    {
        string image = Path.GetTempFileName();
        try
        {
            File.Delete(image);
            await ImageFile.CreateAsync(image, Guest.Zones * Guest.Zone, new ZonedCreateOptions { ZoneSize = Guest.Zone });
            var opener = new ImageOpener("paddock", TextWriter.Null);
            var disk = await ServedDisk.OpenAsync(opener, new ServedImage { Path = image }, "disk", cached ? 1 << 20 : null);
            var observer = new Observer();
            long place = await disk.Zones!.AppendAsync(3 * Guest.Zone, new byte[4096], WriteFlags.None, observer);
            Assert.Equal(3 * Guest.Zone, place);
            Assert.Equal(place, observer.Place);
            Assert.Null(await disk.CloseAsync());
        }
        finally
        {
            File.Delete(image);
        }
    }

    private sealed class Observer : IAppendObserver
    {
        public long Place { get; private set; } = -1;

        public void Assigned(long offset) => Place = offset;
    }
}
