using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Paddock's header extension of an open image, and the way to its tables. Changes are made under the image's metadata mutex: a
/// table first, durably, then the header that points at it.
/// </summary>
internal sealed class PaddockTables
{
    private readonly IStorage _storage;
    private readonly ImageHeader _header;
    private readonly ImageTables _tables;
    private readonly List<string> _warnings;
    private readonly string? _problem;
    private byte[]? _data;
    private bool _uncertain;

    /// <param name="storage">Where the image lies.</param>
    /// <param name="header">The image's.</param>
    /// <param name="tables">Knows where other metadata are.</param>
    /// <param name="warnings">Takes warnings from opening the image.</param>
    public PaddockTables(IStorage storage, ImageHeader header, ImageTables tables, List<string> warnings)
    {
        _storage = storage;
        _header = header;
        _tables = tables;
        _warnings = warnings;
        _data = header.Find(HeaderExtension.Paddock)?.Data;
        if (_data is null)
        {
            return;
        }

        Extension = PaddockExtension.Parse(_data, header.Geometry.ClusterSize, storage.Length, out _problem) ?? default;
        if (_problem is not null)
        {
            Warn($"Paddock's header extension is ignored: {_problem}");
        }
    }

    /// <summary>The extension in the header; all zero without one.</summary>
    public PaddockExtension Extension { get; private set; }

    /// <summary>A warning from opening the image.</summary>
    public void Warn(string text) => _warnings.Add(text);

    /// <summary>Refuses a change where the extension is one that must be kept as it is.</summary>
    public void RequireKnown()
    {
        if (_problem is not null)
        {
            throw new BlockException(BlockError.NotSupported, $"Paddock's header extension in this image is not to be changed: {_problem}");
        }
    }

    /// <summary>Reads a table; null when the header names none, or one where other metadata lie: that gives a warning.</summary>
    public async ValueTask<byte[]?> ReadAsync(string name, HostOffset offset, long bytes, CancellationToken cancellationToken)
    {
        if (offset.Value == 0)
        {
            return null;
        }

        if (_tables.IsMetadata(offset, bytes))
        {
            Warn($"the {name} at {offset} is ignored: it overlaps other metadata");
            return null;
        }

        var table = new byte[bytes];
        await _storage.ReadAsync(offset.Value, table, cancellationToken);
        return table;
    }

    /// <summary>Replaces the extension in the header, durably. Bytes of a later revision stay.</summary>
    public async ValueTask PutAsync(PaddockExtension next)
    {
        var known = new byte[next.Length];
        next.WriteTo(known);
        byte[] data = _data is null ? known : [.. _data];
        if (data.Length < PaddockExtension.Size && next.DirectoryOffset.Value != 0)
        {
            throw new BlockException(
                BlockError.NotSupported, "Paddock's header extension in this image is too short to name zone descriptor extensions");
        }

        known.AsSpan(0, Math.Min(known.Length, data.Length)).CopyTo(data);
        _uncertain = true;
        await _header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, data));
        _uncertain = false;
        _data = data;
        Extension = next;
    }

    /// <summary>True after a write of the header that failed, and may have had its effect.</summary>
    public bool IsUncertain => _uncertain && _data is not null;

    /// <summary>After such a write: gives the header the contents that it should have.</summary>
    public ValueTask SettleAsync() => IsUncertain ? PutAsync(Extension) : ValueTask.CompletedTask;
}
