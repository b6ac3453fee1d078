using Paddock.Block;
using Paddock.Qcow2.Create;
using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>Converts the zoned header extension and the zone table from one layout to another (zoned-qcow2.md 1.2, Choice).</summary>
internal sealed class ZoneLayoutChange(ZonedState state, WriteSession session, ZonedResize resize, ImageHeader header, IStorage storage)
{
    /// <summary>Gives the image a layout; nothing happens when it has it.</summary>
    public async ValueTask RunAsync(ZoneLayout layout, CancellationToken cancellationToken)
    {
        if (session.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is read-only: its zone layout cannot change");
        }

        await state.AcquireAsync(0, long.MaxValue);
        try
        {
            if (layout != state.Parameters.Layout || state.Table.Format != ZoneTableFormat.Of(layout))
            {
                await ConvertAsync(layout, cancellationToken);
            }
        }
        finally
        {
            state.Release(0, long.MaxValue);
        }
    }

    private async ValueTask ConvertAsync(ZoneLayout layout, CancellationToken cancellationToken)
    {
        var present = state.Parameters;
        int clusterSize = header.Geometry.ClusterSize;

        // refused before anything is written
        if (layout == ZoneLayout.C && present.MaxAppendBytes != 0)
        {
            throw new BlockException(
                BlockError.NotSupported,
                $"layout c cannot store the append limit of {present.MaxAppendBytes} bytes, which would be lost");
        }

        // images in layout c with other zones open as before; none is made
        if (layout == ZoneLayout.C && present.ZoneSize % (ulong)clusterSize != 0)
        {
            throw new BlockException(BlockError.NotSupported, ZonedCreation.WholeClusters((long)present.ZoneSize, clusterSize));
        }

        long length = header.VirtualSize;
        var parameters = present with { Layout = layout, TableBytes = layout == ZoneLayout.A ? (ulong)state.Table.Stored.Length : null };
        parameters.Validate(length, clusterSize, storage.Length);
        await resize.FlushAsync(cancellationToken);
        var format = ZoneTableFormat.Of(layout);
        await resize.SwitchAsync(parameters, Translate(format), format, length, Preallocation.Off, cancellationToken);
    }

    private byte[] Translate(ZoneTableFormat format)
    {
        var (table, zones) = (state.Table, state.Zones);
        var stored = new byte[table.Stored.Length];
        for (int zone = 0; zone < zones.Count; zone++)
        {
            if (!table.Format.TryRead(table.Stored, zone, zones, out long pointer))
            {
                throw new ZoneException(
                    ZoneError.Offline, zone,
                    $"zone {zone} has an entry that is valid in no layout: repair the image with 'check -r all', then change the layout");
            }

            format.Write(stored.AsSpan(zone * ZoneTableFormat.EntrySize), pointer, !zones.Geometry.IsSequential(zone));
        }

        return stored;
    }
}
