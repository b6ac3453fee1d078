using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The header and its extensions, in memory and on the storage. The fields share the first sector, which is written at once or not
/// at all. Changed under the image's metadata mutex.
/// </summary>
internal sealed class ImageHeader(
    IStorage storage, InPlaceWrites inPlace, Qcow2Header fields, List<HeaderExtension> extensions, string? backingName)
{
    private const int SectorSize = 512;

    private volatile Qcow2Header _fields = fields;

    /// <summary>The fields as they are on the storage.</summary>
    public Qcow2Header Fields => _fields;

    /// <summary>What follows from the cluster size and the refcount width.</summary>
    public ClusterGeometry Geometry { get; } = fields.Geometry;

    /// <summary>Bytes of the virtual disk.</summary>
    public long VirtualSize => (long)_fields.VirtualSize;

    /// <summary>Whether clusters can be marked to read as zeroes, and features can be flagged (version 3).</summary>
    public bool HasVersion3 { get; } = fields.Version >= 3;

    /// <summary>How compressed clusters are packed.</summary>
    public Qcow2Compression Compression { get; } = (Qcow2Compression)fields.CompressionType;

    /// <summary>The extensions, in their order in the first cluster.</summary>
    public List<HeaderExtension> Extensions => extensions;

    /// <summary>Name of the backing file; null without one.</summary>
    public string? BackingName => backingName;

    /// <summary>Format of the backing file; null where the image does not tell.</summary>
    public string? BackingFormat => Find(HeaderExtension.BackingFormat) is { } e ? ByteText.FromBytes(e.Data) : null;

    /// <summary>Whether the image asks for reference counts to be written when it is closed.</summary>
    public bool AsksForLazyRefcounts => (_fields.Compatible & CompatibleFeatures.LazyRefcounts) != 0;

    /// <summary>The extension of a type; null without one.</summary>
    public HeaderExtension? Find(uint type) => extensions.Find(e => e.Type == type);

    /// <summary>Whether an incompatible feature bit is set.</summary>
    public bool Has(IncompatibleFeatures feature) => (_fields.Incompatible & feature) != 0;

    /// <summary>Replaces the fields; durable with the next flush of the storage.</summary>
    public async ValueTask WriteAsync(Qcow2Header next)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = next.WriteTo(bytes);
        await storage.WriteAsync(0, bytes.AsMemory(0, length));
        _fields = next;
    }

    /// <summary>Replaces the fields durably. After a failure the old ones are in effect, in memory and on the storage.</summary>
    public async ValueTask PutAsync(Qcow2Header next)
    {
        var bytes = new byte[Qcow2Header.SizeV3];
        int length = next.WriteTo(bytes);
        await inPlace.WriteAsync(default, bytes.AsMemory(0, length));
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
        while (extensions[index].Type != extension.Type)
        {
            at += extensions[index++].TotalSize;
        }

        int size = extensions[index].TotalSize;
        cluster.AsSpan(at, size).Clear();
        extension.WriteTo(cluster.AsSpan(at, size));
        next.WriteTo(cluster);
        await inPlace.WriteAsync(default, cluster.AsMemory(0, (at + size + SectorSize - 1) & -SectorSize));
        _fields = next;
        extensions[index] = extension;
    }

    /// <summary>
    /// Sets an extension, durably: its data change in one write, inside one sector where this program added the extension. A new one
    /// is added after the others: what follows the end mark first, then the mark becomes its head.
    /// </summary>
    /// <exception cref="BlockException">The first cluster has no room for it.</exception>
    public async ValueTask PutAsync(HeaderExtension extension)
    {
        int at = (int)_fields.HeaderLength;
        for (int i = 0; i < extensions.Count; at += extensions[i++].TotalSize)
        {
            if (extensions[i].Type == extension.Type && extensions[i].Data.Length == extension.Data.Length)
            {
                await inPlace.WriteAsync(new HostOffset(at + HeaderExtension.HeadSize), extension.Data);
                extensions[i] = extension;
                return;
            }
        }

        await AddAsync(at, extension);
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
        extensions.AddRange(added);
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
