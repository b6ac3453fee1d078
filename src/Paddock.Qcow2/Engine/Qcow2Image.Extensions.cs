using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// header extensions that change while the image is in use, and the tables that they point at; all under the metadata mutex
public sealed partial class Qcow2Image
{
    private const int HeaderSector = 512;

    /// <summary>Puts a table into free clusters. Nothing points there until the caller, after a flush, makes something do.</summary>
    internal async ValueTask<long> PlaceTableAsync(ReadOnlyMemory<byte> table)
    {
        long clusters = _geometry.ClustersFor(table.Length);
        long offset = (await _refcounts.AllocateAsync(clusters)).First << _geometry.ClusterBits;
        await CheckOverlapAsync(offset, clusters << _geometry.ClusterBits);
        await _storage.WriteAsync(offset, table);
        RegisterZoneAttributes(offset, table.Length);
        return offset;
    }

    /// <summary>Gives a table's clusters back, once what pointed there is durably gone.</summary>
    internal void FreeTable(long offset, long bytes)
    {
        SetKind(offset, bytes, MetadataKind.None);
        _refcounts.FreeLater(offset >> _geometry.ClusterBits, _geometry.ClustersFor(bytes));
    }

    /// <summary>
    /// Sets a header extension, durably: its data change in one write, inside one sector where this program added the extension. A new one
    /// is added behind the others: what follows the end mark first, then the mark becomes its head.
    /// </summary>
    /// <exception cref="BlockException">The first cluster has no room for it.</exception>
    internal async ValueTask PutHeaderExtensionAsync(HeaderExtension extension)
    {
        int at = (int)_header.HeaderLength;
        for (int i = 0; i < _extensions.Count; at += _extensions[i++].TotalSize)
        {
            if (_extensions[i].Type == extension.Type && _extensions[i].Data.Length == extension.Data.Length)
            {
                await _inPlace.WriteAsync(at + HeaderExtension.HeadSize, extension.Data);
                _extensions[i] = extension;
                return;
            }
        }

        await AddHeaderExtensionAsync(at, extension);
    }

    private async ValueTask AddHeaderExtensionAsync(int end, HeaderExtension extension)
    {
        var added = new List<HeaderExtension> { extension };
        int data = end + HeaderExtension.HeadSize;
        if ((data % HeaderSector) + extension.Data.Length > HeaderSector)
        {
            int nextSector = (data / HeaderSector * HeaderSector) + HeaderSector;
            added.Insert(0, new HeaderExtension(HeaderExtension.PaddockFiller, new byte[nextSector - end - (2 * HeaderExtension.HeadSize)]));
        }

        int size = added.Sum(static e => e.TotalSize) + HeaderExtension.HeadSize;
        await MakeHeaderRoomAsync(end, size);
        var bytes = new byte[size];
        HeaderExtension.WriteAll(added, bytes);
        await _storage.WriteAsync(end + HeaderExtension.HeadSize, bytes.AsMemory(HeaderExtension.HeadSize));
        await _storage.FlushAsync();
        await _inPlace.WriteAsync(end, bytes.AsMemory(0, HeaderExtension.HeadSize));
        _extensions.AddRange(added);
    }

    /// <summary>The backing file's name lies behind the end mark; it is copied further on before the header names its new place.</summary>
    private async ValueTask MakeHeaderRoomAsync(int end, int size)
    {
        long backing = (long)_header.BackingOffset, length = _header.BackingLength;
        bool marked = backing == 0 || end + HeaderExtension.HeadSize <= backing;
        bool inWay = backing != 0 && backing < end + size;
        long place = (Math.Max(end + size, backing + length) + 7) & ~7L;
        if (!marked || (inWay ? place + length : end + size) > _geometry.ClusterSize)
        {
            throw new BlockException(BlockError.NoSpace, "the image's first cluster has no room for another header extension");
        }

        if (inWay)
        {
            var name = new byte[length];
            await _storage.ReadAsync(backing, name);
            await _storage.WriteAsync(place, name);
            await _storage.FlushAsync();
            await PutHeaderAsync(_header with { BackingOffset = (ulong)place });
        }
    }
}
