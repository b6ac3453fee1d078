using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Makes an image hold nothing of its own, so that its backing file shows everywhere.</summary>
internal sealed class ImageEmptying(ImageHeader header, WriteSession session, ClusterClearing clearing, ImageFlush flush)
{
    /// <summary>Frees every cluster of the disk, durably.</summary>
    public async ValueTask RunAsync()
    {
        session.EnsureWritable();
        await session.StartAsync();
        await clearing.ClearAsync(default, header.Geometry.AlignUp(new GuestOffset(header.VirtualSize)), Deallocation.Remove);
        await flush.RunAsync();
    }
}
