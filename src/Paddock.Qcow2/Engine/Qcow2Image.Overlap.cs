using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// writes never land on the image's own tables; an image where they would is marked corrupt and closed for writing
public sealed partial class Qcow2Image
{
    private readonly MetadataMap _metadataMap;

    private void RegisterFixedMetadata()
    {
        _metadataMap.SetRange(MetadataKind.Header, 0, _geometry.ClusterSize);
        _metadataMap.SetRange(MetadataKind.ActiveL1, (long)_header.L1Offset, (long)_header.L1Entries * 8);
        _metadataMap.SetRange(
            MetadataKind.RefcountTable, (long)_header.RefcountTableOffset, (long)_header.RefcountTableClusters << _geometry.ClusterBits);
    }

    internal void RegisterZoneTable(long offset, long length) => _metadataMap.SetRange(MetadataKind.ZoneTable, offset, length);

    /// <summary>A table of what zones have beside their pointers: its clusters are guarded like the zone table's.</summary>
    internal void RegisterZoneAttributes(long offset, long length) => SetKind(offset, length, MetadataKind.ZoneTable);

    /// <summary>Whether a range touches metadata that is known by now.</summary>
    internal bool IsMetadata(long offset, long length) => _metadataMap.Find(offset, length) != MetadataKind.None;

    private void SetKind(long offset, long length, MetadataKind kind)
    {
        for (long at = offset; at < offset + length; at += Geometry.ClusterSize)
        {
            _metadataMap.Set(at, kind);
        }
    }

    private void RegisterTables()
    {
        foreach (ulong entry in _l1)
        {
            if ((entry & L1OffsetMask) is not 0 and var offset)
            {
                _metadataMap.Set((long)offset, MetadataKind.ActiveL2);
            }
        }

        foreach (long offset in _refcounts.BlockOffsets)
        {
            _metadataMap.Set(offset, MetadataKind.RefcountBlock);
        }
    }

    /// <summary>Before data is written, or a new table is put somewhere.</summary>
    private ValueTask CheckOverlapAsync(long offset, long length)
    {
        if (_options.OverlapChecks == OverlapChecks.None)
        {
            return ValueTask.CompletedTask;
        }

        var kind = _metadataMap.Find(offset, length);
        return kind == MetadataKind.None
            ? ValueTask.CompletedTask
            : FailAsync($"Preventing invalid write on metadata (overlaps with {MetadataMap.Describe(kind)})", offset);
    }

    private async ValueTask FailAsync(string message, long offset)
    {
        bool first = !_failed;
        _failed = true;
        if (first)
        {
            _options.OnCorruption?.Invoke(message);
            if (_header.Version >= 3 && !IsReadOnly)
            {
                await WriteHeaderAsync(_header with { Incompatible = _header.Incompatible | IncompatibleFeatures.Corrupt });
                await _storage.FlushAsync();
            }
        }

        throw new ImageCorruptException("image", new HostOffset(offset), message);
    }
}
