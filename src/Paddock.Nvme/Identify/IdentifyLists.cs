using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>Lists that Identify returns (NVMe base 2.0, 4.5.1, 4.5.2 and figure 283).</summary>
internal static class IdentifyLists
{
    /// <summary>Bytes of each list.</summary>
    public const int Size = 4096;

    private const int MaxNamespaces = 1024, MaxControllers = 2047;

    /// <summary>A namespace list: identifiers of 4 bytes in ascending order, those greater than <paramref name="after"/>.</summary>
    public static NvmeStatus WriteNamespaces(IEnumerable<NvmeNamespace> all, uint after, byte? commandSet, Span<byte> to)
    {
        if (after >= 0xFFFFFFFE)
        {
            return NvmeStatus.InvalidNamespace;
        }

        var f = new Fields(to);
        int at = 0;
        foreach (var ns in all)
        {
            if (ns.Id > after && (commandSet is null || ns.CommandSet == commandSet) && at < MaxNamespaces)
            {
                f.U32(4 * at++, ns.Id);
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>
    /// A controller list: their number, then identifiers of 2 bytes in ascending order, those of at least <paramref name="from"/>.
    /// </summary>
    public static void WriteControllers(IEnumerable<ushort> all, ushort from, Span<byte> to)
    {
        var f = new Fields(to);
        int at = 0;
        foreach (ushort id in all.Where(id => id >= from).Order().Take(MaxControllers))
        {
            f.U16(2 * ++at, id);
        }

        f.U16(0, (ushort)at);
    }

    /// <summary>Reads a controller list; empty if it has no valid number of entries.</summary>
    public static ushort[] ReadControllers(ReadOnlySpan<byte> from)
    {
        int count = System.Buffers.Binary.BinaryPrimitives.ReadUInt16LittleEndian(from);
        if (count > MaxControllers)
        {
            return [];
        }

        var all = new ushort[count];
        for (int i = 0; i < count; i++)
        {
            all[i] = System.Buffers.Binary.BinaryPrimitives.ReadUInt16LittleEndian(from[(2 * (i + 1))..]);
        }

        return [.. all.Distinct()];
    }

    /// <summary>
    /// The namespace granularity list: attributes (4), number of descriptors, 0's based (1); from 32 on each NSG (8) and NCG (8), bytes.
    /// </summary>
    /// <param name="granularity">The size, in bytes, that namespaces should be a multiple of, whatever their block format.</param>
    /// <param name="to">The list.</param>
    public static void WriteGranularity(long granularity, Span<byte> to)
    {
        var f = new Fields(to);
        f.U64(32, (ulong)granularity);
        f.U64(40, (ulong)granularity);
    }
}
