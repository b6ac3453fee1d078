using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Paddock's header extension for blocks in an open image: whether clusters are shared, and where the table of unreadable ranges lies.
/// Changed under the image's metadata mutex.
/// </summary>
internal sealed class BlocksHeader
{
    private readonly ImageHeader _header;
    private readonly string? _problem;
    private byte[] _data;

    /// <param name="header">The image's.</param>
    /// <param name="fileLength">Length of the image's file in bytes.</param>
    /// <param name="warnings">Takes warnings from opening the image.</param>
    public BlocksHeader(ImageHeader header, long fileLength, List<string> warnings)
    {
        _header = header;
        _data = header.Find(HeaderExtension.PaddockBlocks)?.Data ?? [];
        if (_data.Length > 0)
        {
            if ((header.Fields.Autoclear & AutoclearFeatures.UnreadableRanges) == 0)
            {
                // a program that does not know the table has written since: its place is no longer the table's
                _data = BlocksExtension.WithoutRanges(_data);
            }

            Extension = BlocksExtension.Parse(_data, header.Geometry.ClusterSize, fileLength, out _problem) ?? default;
            if (_problem is not null)
            {
                warnings.Add($"Paddock's header extension for blocks is ignored: {_problem}");
            }
        }
    }

    /// <summary>The extension in the header; all zero without one.</summary>
    public BlocksExtension Extension { get; private set; }

    /// <summary>Whether the extension can be changed: the image has none, or one that is understood.</summary>
    public bool IsKnown => _problem is null;

    /// <summary>Replaces the extension in the header, durably. Bytes of a later revision stay.</summary>
    /// <exception cref="BlockException">The first cluster has no room for it, or writing failed.</exception>
    public async ValueTask PutAsync(BlocksExtension next)
    {
        byte[] data = _data.Length > 0 ? [.. _data] : new byte[BlocksExtension.Size];
        next.WriteTo(data);
        await _header.PutAsync(new HeaderExtension(HeaderExtension.PaddockBlocks, data));
        _data = data;
        Extension = next;
    }
}
