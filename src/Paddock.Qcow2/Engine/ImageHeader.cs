using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The header and its extensions, in memory and on the storage. The fields share the first sector, which is written at once or not
/// at all. Changed under the image's metadata mutex.
/// </summary>
internal sealed class ImageHeader(
    IStorage storage, InPlaceWrites inPlace, LoadedHeader loaded)
{
    private const int SectorSize = 512;

    private readonly List<HeaderExtension> _extensions = loaded.Extensions;
    private volatile Qcow2Header _fields = loaded.Fields;

    /// <summary>The fields as they are on the storage.</summary>
    public Qcow2Header Fields => _fields;

    /// <summary>What follows from the cluster size and the refcount width.</summary>
    public ClusterGeometry Geometry { get; } = loaded.Fields.Geometry;

    /// <summary>Bytes of the virtual disk.</summary>
    public long VirtualSize => (long)_fields.VirtualSize;

    /// <summary>Whether clusters can be marked to read as zeroes, and features can be flagged (version 3).</summary>
    public bool HasVersion3 => _fields.Version >= 3;

    /// <summary>How compressed clusters are packed.</summary>
    public Qcow2Compression Compression { get; } = (Qcow2Compression)loaded.Fields.CompressionType;

    /// <summary>The extensions, in their order in the first cluster.</summary>
    public List<HeaderExtension> Extensions => _extensions;

    /// <summary>Whether the disk is encrypted.</summary>
    public bool IsEncrypted { get; } = loaded.Fields.EncryptionMethod != 0;

    /// <summary>Name of the backing file; null without one.</summary>
    public string? BackingName { get; private set; } = loaded.BackingName;

    /// <summary>Format of the backing file; null where the image does not tell.</summary>
    public string? BackingFormat
        => _extensions.FindLast(static e => e.Type == HeaderExtension.BackingFormat) is { } format ? ByteText.FromBytes(format.Data) : null;

    /// <summary>Name of the external data file; null where the image does not tell.</summary>
    public string? DataFileName => LoadedHeader.DataFileNameIn(_extensions);

    /// <summary>Whether the image asks for reference counts to be written when it is closed.</summary>
    public bool AsksForLazyRefcounts => (_fields.Compatible & CompatibleFeatures.LazyRefcounts) != 0;

    /// <summary>The extension of a type; null without one.</summary>
    public HeaderExtension? Find(uint type) => _extensions.Find(e => e.Type == type);

    /// <summary>Whether an incompatible feature bit is set.</summary>
    public bool Has(IncompatibleFeatures feature) => (_fields.Incompatible & feature) != 0;

    /// <summary>Takes over what has been written to the storage (<see cref="HeaderRewrite"/>).</summary>
    public void Replaced(Qcow2Header fields, IReadOnlyList<HeaderExtension> extensions, string? backingName)
    {
        _fields = fields;
        _extensions.Clear();
        _extensions.AddRange(extensions);
        BackingName = backingName;
    }

    /// <summary>Replaces the fields; durable with the next flush of the storage.</summary>
    public async ValueTask WriteAsync(Qcow2Header next)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = next.WriteTo(bytes);
        await storage.WriteAsync(0, bytes.AsMemory(0, length));
        _fields = next;
    }

    /// <summary>Replaces the fields durably. After a failure the old ones are in effect, in memory and on the storage.</summary>
    public async ValueTask PutAsync(Qcow2Header next, string? eventName = null)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = next.WriteTo(bytes);
        await inPlace.WriteAsync(default, bytes.AsMemory(0, length), eventName);
        _fields = next;
    }

    /// <summary>Replaces the fields and an extension that is there, durably and in one write.</summary>
    /// <param name="next">The fields.</param>
    /// <param name="extension">The extension; not longer than the one of its type, so that what follows stays in its place.</param>
    public async ValueTask PutAsync(Qcow2Header next, HeaderExtension extension)
    {
        var cluster = new byte[Geometry.ClusterSize];
        await storage.ReadAsync(0, cluster);
        int at = (int)next.HeaderLength, index = 0;
        while (_extensions[index].Type != extension.Type)
        {
            at += _extensions[index++].TotalSize;
        }

        int size = _extensions[index].TotalSize;
        cluster.AsSpan(at, size).Clear();
        extension.WriteTo(cluster.AsSpan(at, size));
        next.WriteTo(cluster);
        await inPlace.WriteAsync(default, cluster.AsMemory(0, (at + size + SectorSize - 1) & -SectorSize));
        _fields = next;
        _extensions[index] = extension;
    }

    /// <summary>
    /// Sets an extension, durably: its data change in one write, inside one sector where this program added the extension. A new one
    /// is added after the others: what follows the end mark first, then the mark becomes its head.
    /// </summary>
    /// <exception cref="BlockException">The first cluster has no room for it.</exception>
    public async ValueTask PutAsync(HeaderExtension extension)
    {
        int at = (int)_fields.HeaderLength;
        for (int i = 0; i < _extensions.Count; at += _extensions[i++].TotalSize)
        {
            if (_extensions[i].Type == extension.Type && _extensions[i].Data.Length == extension.Data.Length)
            {
                await inPlace.WriteAsync(new HostOffset(at + HeaderExtension.HeadSize), extension.Data);
                _extensions[i] = extension;
                return;
            }
        }

        await AddAsync(at, extension);
    }

    /// <summary>Whether the data of the extension of a type lie in one sector, so that a change of them is whole or not at all.</summary>
    public bool IsInSector(uint type)
        => FindPlace(type) is not { } place || IsInSector(place.Offset + HeaderExtension.HeadSize, _extensions[place.Index].Data.Length);

    /// <summary>
    /// Removes the extension of a type, durably. One with others behind it becomes filler, so that they stay in their place.
    /// </summary>
    public async ValueTask RemoveAsync(uint type)
    {
        if (FindPlace(type) is not { } place)
        {
            return;
        }

        var removed = _extensions[place.Index];
        var bytes = new byte[removed.TotalSize];
        bool isLast = place.Index == _extensions.Count - 1;
        var filler = new HeaderExtension(HeaderExtension.PaddockFiller, new byte[removed.Data.Length]);
        if (!isLast)
        {
            filler.WriteTo(bytes);
        }

        await inPlace.WriteAsync(new HostOffset(place.Offset), bytes);
        if (isLast)
        {
            _extensions.RemoveAt(place.Index);
        }
        else
        {
            _extensions[place.Index] = filler;
        }
    }

    private static bool IsInSector(int offset, int length) => offset / SectorSize == (offset + Math.Max(0, length - 1)) / SectorSize;

    private (int Offset, int Index)? FindPlace(uint type)
    {
        int at = (int)_fields.HeaderLength;
        for (int i = 0; i < _extensions.Count; at += _extensions[i++].TotalSize)
        {
            if (_extensions[i].Type == type)
            {
                return (at, i);
            }
        }

        return null;
    }

    private async ValueTask AddAsync(int end, HeaderExtension extension)
    {
        var added = new List<HeaderExtension> { extension };
        int data = end + HeaderExtension.HeadSize;
        if ((data % SectorSize) + extension.Data.Length > SectorSize)
        {
            int nextSector = (data / SectorSize * SectorSize) + SectorSize;
            int filler = nextSector - end - (2 * HeaderExtension.HeadSize);
            added.Insert(0, new HeaderExtension(HeaderExtension.PaddockFiller, new byte[filler]));
        }

        int size = added.Sum(static e => e.TotalSize) + HeaderExtension.HeadSize;
        await MakeRoomAsync(end, size);
        var bytes = new byte[size];
        HeaderExtension.WriteAll(added, bytes);
        await storage.WriteAsync(end + HeaderExtension.HeadSize, bytes.AsMemory(HeaderExtension.HeadSize));
        await storage.FlushAsync();
        await inPlace.WriteAsync(new HostOffset(end), bytes.AsMemory(0, HeaderExtension.HeadSize));
        _extensions.AddRange(added);
    }

    /// <summary>The backing file's name lies after the end mark; it is copied further on before the header names its new place.</summary>
    private async ValueTask MakeRoomAsync(int end, int size)
    {
        long backing = (long)_fields.BackingOffset, length = _fields.BackingLength;
        bool marked = backing == 0 || end + HeaderExtension.HeadSize <= backing;
        bool inWay = backing != 0 && backing < end + size;
        long place = (Math.Max(end + size, backing + length) + 7) & ~7L;
        if (!marked || (inWay ? place + length : end + size) > Geometry.ClusterSize)
        {
            throw new BlockException(BlockError.NoSpace, "the image's first cluster has no room for another header extension");
        }

        if (inWay)
        {
            var name = new byte[length];
            await storage.ReadAsync(backing, name);
            await storage.WriteAsync(place, name);
            await storage.FlushAsync();
            await PutAsync(_fields with { BackingOffset = (ulong)place });
        }
    }
}
