using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Replaces the header, its extensions and the backing file's name together. A crash leaves the old ones or the new ones: the first
/// sector, which is written at once or not at all, decides which bytes of the first cluster count. Under the image's metadata mutex.
/// </summary>
internal sealed class HeaderRewrite(IStorage storage, ImageHeader header, InPlaceWrites inPlace)
{
    private const int SectorSize = 512;

    private readonly int _clusterSize = header.Geometry.ClusterSize;

    /// <summary>Replaces them, durably.</summary>
    /// <param name="fields">The fields; the length of the header and the place of the name are set here.</param>
    /// <param name="extensions">The extensions, in any order.</param>
    /// <param name="backing">Name of the backing file; null without one.</param>
    /// <exception cref="BlockException">They do not fit the first cluster, and nothing is changed; or a write failed.</exception>
    public async ValueTask RunAsync(Qcow2Header fields, IEnumerable<HeaderExtension> extensions, string? backing)
    {
        var old = new byte[_clusterSize];
        await storage.ReadAsync(0, old);
        var name = backing is null ? [] : ByteText.ToBytes(backing);
        if (name.Length > Qcow2Limits.MaxBackingNameBytes)
        {
            throw new BlockException(BlockError.InvalidArgument, "Backing file name too long");
        }

        int start = StartOf(fields);
        var plan = new Plan(fields, HeaderExtension.InOrder(extensions, start), name, backing);
        var next = new Image(plan, start, _clusterSize);
        if (header.HasVersion3)
        {
            old.AsSpan(Qcow2Header.SizeV2, start - Qcow2Header.SizeV2).CopyTo(next.Bytes.AsSpan(Qcow2Header.SizeV2));
        }

        next.Fields.WriteTo(next.Bytes);
        int free = AlignUp(Math.Max(next.End, UsedBy(header.Fields, header.Extensions)));
        if (next.End > SectorSize)
        {
            next = await WriteRestAsync(plan, next, free);
        }

        await inPlace.WriteAsync(default, next.Bytes.AsMemory(0, SectorSize));
        header.Replaced(next.Fields, plan.Extensions, plan.Backing);

        // nothing refers to the rest of the cluster any more
        int rest = Math.Max(SectorSize, AlignUp(next.End));
        await storage.WriteAsync(rest, next.Bytes.AsMemory(rest));
    }

    /// <summary>Writes what lies behind the first sector, so that only that sector is left.</summary>
    private async ValueTask<Image> WriteRestAsync(Plan plan, Image next, int free)
    {
        bool isLongHeaderKnown = plan.Fields.Version >= 3;
        if (isLongHeaderKnown && free + next.End - next.Start <= _clusterSize)
        {
            await WriteBridgeAsync(plan, free);
        }
        else if (next.ExtensionsEnd <= SectorSize && free + plan.Name.Length <= _clusterSize)
        {
            // the name stays where nothing lay
            next = next.WithNameAt(plan, free);
        }

        // with room for neither, a crash between the two writes may leave a name or an extension of each: QEMU has that window always
        await storage.WriteAsync(SectorSize, next.Bytes.AsMemory(SectorSize, AlignUp(next.End) - SectorSize));
        await storage.FlushAsync();
        return next;
    }

    /// <summary>
    /// Makes everything count from a place that was free: a header that claims to be so long that the extensions begin there. What lies
    /// between may then be written in several steps.
    /// </summary>
    private async ValueTask WriteBridgeAsync(Plan plan, int free)
    {
        var bridge = new Image(plan, free, _clusterSize);
        bridge.Fields.WriteTo(bridge.Bytes);
        await storage.WriteAsync(free, bridge.Bytes.AsMemory(free, bridge.End - free));
        await storage.FlushAsync();
        await inPlace.WriteAsync(default, bridge.Bytes.AsMemory(0, SectorSize));
        header.Replaced(bridge.Fields, plan.Extensions, plan.Backing);
    }

    // fields of later versions are kept; a longer header is a bridge that a crash has left
    private static int StartOf(Qcow2Header fields)
        => fields.Version < 3 ? Qcow2Header.SizeV2
            : fields.HeaderLength <= SectorSize ? Math.Max(Qcow2Header.SizeV3, (int)fields.HeaderLength) : Qcow2Header.SizeV3;

    private static int UsedBy(Qcow2Header fields, IReadOnlyList<HeaderExtension> extensions)
        => (int)Math.Max(
            fields.HeaderLength + (ulong)extensions.Sum(static e => e.TotalSize) + HeaderExtension.HeadSize,
            fields.BackingOffset + fields.BackingLength);

    private static int AlignUp(int offset) => (offset + SectorSize - 1) & -SectorSize;

    /// <param name="Fields">The fields.</param>
    /// <param name="Extensions">The extensions, in their order.</param>
    /// <param name="Name">The backing file's name in bytes.</param>
    /// <param name="Backing">The same as text.</param>
    private sealed record Plan(Qcow2Header Fields, List<HeaderExtension> Extensions, byte[] Name, string? Backing);

    /// <summary>The first cluster as it is to be, with the extensions from one place on and the name after them.</summary>
    private sealed class Image
    {
        public Image(Plan plan, int start, int clusterSize)
        {
            Bytes = new byte[clusterSize];
            Start = start;
            ExtensionsEnd = start + HeaderExtension.WriteAll(plan.Extensions, Bytes.AsSpan(start));
            End = ExtensionsEnd + plan.Name.Length;
            if (End > clusterSize)
            {
                throw new BlockException(BlockError.NoSpace, "the header, its extensions and the backing file's name do not fit a cluster");
            }

            plan.Name.CopyTo(Bytes, ExtensionsEnd);
            Fields = plan.Fields with
            {
                HeaderLength = (uint)start,
                BackingOffset = plan.Name.Length == 0 ? 0 : (ulong)ExtensionsEnd,
                BackingLength = (uint)plan.Name.Length,
            };
        }

        public byte[] Bytes { get; }

        public int Start { get; }

        public int ExtensionsEnd { get; }

        public int End { get; private set; }

        public Qcow2Header Fields { get; private set; }

        public Image WithNameAt(Plan plan, int place)
        {
            Bytes.AsSpan(ExtensionsEnd, plan.Name.Length).Clear();
            plan.Name.CopyTo(Bytes, place);
            Fields = Fields with { BackingOffset = (ulong)place };
            End = place + plan.Name.Length;
            Fields.WriteTo(Bytes);
            return this;
        }
    }
}
