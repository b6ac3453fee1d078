using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Writes data into clusters, or subclusters, that the guest's data were not in before, together with what the write does not cover.
/// The caller holds the guest clusters exclusively.
/// </summary>
internal sealed class CopyOnWrite(IStorage storage, DataLayer data, ClusterReader reader, IBlockDevice? backing)
{
    /// <summary>Head, data and tail go out as one request up to this many bytes.</summary>
    private const int MergeBytes = 256 << 10;

    /// <summary>Writes data, and before and after it, up to the boundaries of a unit, what the guest has there.</summary>
    /// <param name="mapping">How the guest has the range now.</param>
    /// <param name="offset">Where the data start on the disk.</param>
    /// <param name="bytes">The data.</param>
    /// <param name="unit">Bytes of a cluster or subcluster; the mapping holds up to its boundaries.</param>
    /// <param name="host">Where the data are to lie.</param>
    /// <param name="knownZero">Whether the target reads as zeroes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public ValueTask WriteAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, int unit, HostOffset host, bool knownZero,
        CancellationToken cancellationToken)
    {
        int head = (int)(offset.Value & (unit - 1));
        int tail = (int)(-(offset.Value + bytes.Length) & (unit - 1));
        return WriteAsync(mapping, offset, bytes, head, tail, host, knownZero, cancellationToken);
    }

    /// <summary>Writes data, and so many bytes before and after it, as the guest has them.</summary>
    /// <param name="mapping">How the guest has the range now.</param>
    /// <param name="offset">Where the data start on the disk.</param>
    /// <param name="bytes">The data.</param>
    /// <param name="head">Bytes before the data.</param>
    /// <param name="tail">Bytes after the data.</param>
    /// <param name="host">Where the data are to lie.</param>
    /// <param name="knownZero">Whether the target reads as zeroes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async ValueTask WriteAsync(
        Mapping mapping, GuestOffset offset, ReadOnlyMemory<byte> bytes, int head, int tail, HostOffset host, bool knownZero,
        CancellationToken cancellationToken)
    {
        bool zeroes = mapping.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
            || (mapping.Kind == ClusterKind.Unallocated && backing is null);
        if (zeroes && (head | tail) != 0)
        {
            await storage.OnEventAsync("cluster_alloc_space");
        }

        if ((head | tail) == 0 || (zeroes && knownZero))
        {
            await data.WriteAsync(host, offset, bytes, cancellationToken);
            return;
        }

        int total = head + bytes.Length + tail;
        var start = host + -head;
        var headPart = new Rest(mapping with { Host = mapping.Host + -head }, offset + -head, start, head, zeroes);
        var tailPart = new Rest(
            mapping with { Host = mapping.Host + bytes.Length }, offset + bytes.Length, host + bytes.Length, tail, zeroes);
        if (total > MergeBytes)
        {
            await CopyAsync(headPart, cancellationToken);
            await data.WriteAsync(host, offset, bytes, cancellationToken);
            await CopyAsync(tailPart, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(total);
        try
        {
            await ReadAsync(headPart, buffer.AsMemory(0, head), cancellationToken);
            bytes.CopyTo(buffer.AsMemory(head));
            await ReadAsync(tailPart, buffer.AsMemory(head + bytes.Length, tail), cancellationToken);
            if (!zeroes)
            {
                await storage.OnEventAsync("cow_write");
            }

            await data.WriteAsync(start, offset + -head, buffer.AsMemory(0, total), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Copies stored data of at most a cluster to another place.</summary>
    public ValueTask CopyAsync(Mapping mapping, GuestOffset offset, HostOffset target, CancellationToken cancellationToken)
        => CopyAsync(new Rest(mapping, offset, target, (int)mapping.Length, Zeroes: false), cancellationToken);

    private async ValueTask CopyAsync(Rest rest, CancellationToken cancellationToken)
    {
        if (rest.Length == 0)
        {
            return;
        }

        if (rest.Zeroes && !data.IsEncrypted)
        {
            await data.ZeroAsync(rest.Target, rest.Length, ZeroFlags.None, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(rest.Length);
        try
        {
            await ReadAsync(rest, buffer.AsMemory(0, rest.Length), cancellationToken);
            await storage.OnEventAsync("cow_write");
            await data.WriteAsync(rest.Target, rest.Guest, buffer.AsMemory(0, rest.Length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask ReadAsync(Rest rest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (buffer.Length == 0)
        {
            return;
        }

        if (rest.Zeroes)
        {
            buffer.Span.Clear();
            return;
        }

        await storage.OnEventAsync("cow_read");
        await reader.ReadMappedAsync(rest.Mapping, rest.Guest, buffer, cancellationToken);
    }

    /// <summary>A part that the write does not cover.</summary>
    /// <param name="Mapping">How the guest has it now.</param>
    /// <param name="Guest">Where it starts on the disk.</param>
    /// <param name="Target">Where it is to lie.</param>
    /// <param name="Length">Its length; 0 for an empty part.</param>
    /// <param name="Zeroes">Whether it reads as zeroes.</param>
    private readonly record struct Rest(Mapping Mapping, GuestOffset Guest, HostOffset Target, int Length, bool Zeroes);
}
