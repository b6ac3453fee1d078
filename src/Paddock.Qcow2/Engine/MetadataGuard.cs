using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Keeps data and new tables off the image's own tables (QEMU's overlap checks). An image where a write would land there is marked
/// corrupt and closed for writing, as is one in which any other corruption is found while it is written.
/// </summary>
internal sealed class MetadataGuard(IStorage storage, ImageHeader header, MetadataMap map, Qcow2OpenOptions options)
{
    private readonly bool _isOn = options.OverlapChecks != OverlapChecks.None;
    private bool _hasFailed;

    /// <summary>Whether nothing may be written over the L2 tables of snapshots either.</summary>
    public bool ChecksInactiveL2 => (options.OverlapChecks & OverlapChecks.InactiveL2) != 0;

    /// <summary>True once the image was found corrupt.</summary>
    public bool HasFailed => _hasFailed;

    /// <summary>Which clusters hold metadata.</summary>
    public MetadataMap Map => map;

    /// <summary>Registers the tables that the header names.</summary>
    /// <param name="luks">Where the LUKS header and its key material are; null: the image has none.</param>
    public void RegisterFixed(LuksArea? luks = null)
    {
        if (luks is { } area)
        {
            map.SetRange(MetadataKind.EncryptionHeader, new HostOffset(area.Start), area.Length);
        }

        var fields = header.Fields;
        map.SetRange(MetadataKind.Header, default, header.Geometry.ClusterSize);
        map.SetRange(MetadataKind.ActiveL1, new HostOffset((long)fields.L1Offset), (long)fields.L1Entries * 8);
        map.SetRange(
            MetadataKind.RefcountTable, new HostOffset((long)fields.RefcountTableOffset),
            header.Geometry.BytesIn(fields.RefcountTableClusters));
    }

    /// <summary>Before data is written, or a new table is put somewhere.</summary>
    /// <exception cref="ImageCorruptException">Metadata are there.</exception>
    /// <exception cref="BlockException">It is not known where all metadata are.</exception>
    public ValueTask CheckAsync(HostOffset offset, long length)
    {
        if (!_isOn)
        {
            return ValueTask.CompletedTask;
        }

        if (Blindness is { } cause)
        {
            throw new BlockException(cause.Error, $"{cause.Message}: no write can be checked against its L2 tables", cause);
        }

        var kind = map.Find(offset, length);
        return kind == MetadataKind.None
            ? ValueTask.CompletedTask
            : FailAsync($"Preventing invalid write on metadata (overlaps with {MetadataMap.Describe(kind)})", offset);
    }

    /// <summary>Why tables that are to be protected cannot be found, so that nothing may be written; null: all are known.</summary>
    public BlockException? Blindness { get; set; }

    /// <summary>Marks the image corrupt, durably, if it is open for writing, and closes it for writing.</summary>
    /// <exception cref="ImageCorruptException">Always.</exception>
    public async ValueTask FailAsync(string message, HostOffset offset)
    {
        bool first = !_hasFailed;
        _hasFailed = true;
        if (first)
        {
            options.OnCorruption?.Invoke(message);
            if (header.HasVersion3 && !options.ReadOnly && !storage.IsReadOnly)
            {
                await header.WriteAsync(header.Fields with { Incompatible = header.Fields.Incompatible | IncompatibleFeatures.Corrupt });
                await storage.FlushAsync();
            }
        }

        throw new ImageCorruptException("image", offset, message);
    }
}
