using Paddock.Block;
using Paddock.Images.Filters;

namespace Paddock.Images.Nodes;

/// <summary>Puts what a tool asks of the whole image on top of its node: copying what is read, and writing through.</summary>
internal static class RootNode
{
    /// <summary>Completes a node that no other node is above.</summary>
    public static void Finish(ImageNode node, OpenSettings settings)
    {
        if (settings.CopyOnRead)
        {
            node.Device = CopyOnReadDevice.Over(node, node.Driver == BlkdebugDriver.DriverName ? node.Faults : null);
        }

        if (!settings.ReadOnly && ImageOpener.IsWriteThrough(node.Cache))
        {
            node.Device = new CacheDevice(CheckedDevice.Unwrap(node.Device));
        }

        foreach (var lease in node.Owned.OfType<ILeasedStorage>())
        {
            node.Device = new OwnedDevice(CheckedDevice.Unwrap(node.Device), lease);
        }
    }
}
