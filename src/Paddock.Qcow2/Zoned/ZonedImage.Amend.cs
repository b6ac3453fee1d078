using Paddock.Block;
using Paddock.Qcow2.Create;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// one layout of the extension and its table becomes another (zoned-qcow2.md 1.2, Choice)
internal sealed partial class ZonedImage
{
    /// <inheritdoc/>
    public async ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
    {
        if (IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is read-only: its zone layout cannot change");
        }

        await _zoneLocks.AcquireAsync(0, long.MaxValue, exclusive: true);
        try
        {
            if (layout != _parameters.Layout || IsTableForeign)
            {
                await SetZoneLayoutLockedAsync(layout, cancellationToken);
            }
        }
        finally
        {
            _zoneLocks.Release(0, long.MaxValue, exclusive: true);
        }
    }

    private async ValueTask SetZoneLayoutLockedAsync(ZoneLayout layout, CancellationToken cancellationToken)
    {
        // refused before anything is written
        if (layout == ZoneLayout.C && _parameters.MaxAppendBytes != 0)
        {
            throw new BlockException(
                BlockError.NotSupported, $"layout c has no place for the append limit of {_parameters.MaxAppendBytes} bytes, which would be lost");
        }

        // images in layout c with other zones open as before; none is made
        int clusterSize = _parts.Header.Geometry.ClusterSize;
        if (layout == ZoneLayout.C && _parameters.ZoneSize % (ulong)clusterSize != 0)
        {
            throw new BlockException(BlockError.NotSupported, ZonedCreation.WholeClusters((long)_parameters.ZoneSize, clusterSize));
        }

        var parameters = _parameters with { Layout = layout, TableBytes = layout == ZoneLayout.A ? (ulong)_table.Stored.Length : null };
        parameters.Validate(Length, _parts.Header.Geometry.ClusterSize, _image.Storage.Length);
        foreach (int zone in _buffers.Zones())
        {
            await DrainAsync(zone, cancellationToken);
        }

        await _parts.Session.StartAsync();
        await _image.FlushAsync(cancellationToken);
        var format = ZoneTableFormat.Of(layout);
        byte[] stored = Translate(format);
        await SwitchTableAsync(parameters, stored, format, Length, Preallocation.Off, cancellationToken);
    }

    private byte[] Translate(ZoneTableFormat format)
    {
        var stored = new byte[_table.Stored.Length];
        for (int zone = 0; zone < _zones.Count; zone++)
        {
            if (!_table.Format.TryRead(_table.Stored, zone, _zones, out long pointer))
            {
                throw new ZoneException(
                    ZoneError.Offline, zone, $"zone {zone} has an entry that is valid in no layout: 'check -r all' mends it, then the layout can change");
            }

            format.Write(stored.AsSpan(zone * ZoneTableFormat.EntrySize), pointer, !_zones.Geometry.IsSequential(zone));
        }

        return stored;
    }
}
