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
    private BlockException? _blind;

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
    public ValueTask CheckAsync(HostOffset offset, long length)
    {
        if (!_isOn)
        {
            return ValueTask.CompletedTask;
        }

        ThrowIfBlind();
        var kind = map.Find(offset, length);
        return kind == MetadataKind.None
            ? ValueTask.CompletedTask
            : FailAsync($"Preventing invalid write on metadata (overlaps with {MetadataMap.Describe(kind)})", offset);
    }

    /// <summary>Tables that were to be protected could not be found: nothing may be written from now on.</summary>
    public void GoBlind(BlockException cause) => _blind = cause;

    /// <summary>Before metadata are written.</summary>
    /// <exception cref="BlockException">It is not known where some tables are.</exception>
    public void ThrowIfBlind()
    {
        if (_blind is { } cause)
        {
            throw new BlockException(cause.Error, $"{cause.Message}: no write can be checked against its L2 tables", cause);
        }
    }

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
