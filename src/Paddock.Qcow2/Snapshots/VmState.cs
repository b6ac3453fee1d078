using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>
/// The state of a virtual machine, which lies where the disk would go on after all that the L2 tables of its last L1 entry map
/// (qcow2 specification, "Snapshots"). A snapshot keeps it with the disk.
/// </summary>
internal sealed class VmState(
    ImageHeader header, EngineLocks locks, WriteSession session, L1Growth growth, ClusterReader reader, ClusterWriter writer)
{
    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <summary>Where the state begins.</summary>
    public GuestOffset Start => _geometry.MappedBy(_geometry.L1EntriesFor(header.VirtualSize));

    /// <summary>Reads a part of the state; what was never written is zero.</summary>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => reader.ReadAsync(Place(offset, buffer.Length), buffer, cancellationToken);

    /// <summary>Writes a part of the state.</summary>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        session.EnsureWritable();
        await locks.Structure.AcquireAsync();
        try
        {
            var place = Place(offset, data.Length);
            await session.StartAsync();
            await growth.EnsureAsync(_geometry.L1EntriesFor(place.Value + data.Length));
            await writer.WriteAsync(place, data, WriteFlags.None, cancellationToken);
        }
        finally
        {
            locks.Structure.Release();
        }
    }

    private GuestOffset Place(long offset, int length)
    {
        long most = (Qcow2Limits.MaxL1Bytes / 8) << _geometry.L1Shift;
        return offset >= 0 && offset <= most - Start.Value - length
            ? Start + offset
            : throw new BlockException(
                BlockError.TooLarge, $"VM state at {offset}: the L1 table would be longer than {Qcow2Limits.MaxL1Bytes} bytes");
    }
}
