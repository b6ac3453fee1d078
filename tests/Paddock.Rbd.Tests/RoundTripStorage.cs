using Paddock.Block;

namespace Paddock.Rbd.Tests;

/// <summary>
/// Counts the round trips that RBD would make: writes are accepted at once, and a flush waits for all of them together; a flush with
/// nothing to wait for asks nobody. A read waits alone.
/// </summary>
/// <param name="inner">The storage; owned.</param>
internal sealed class RoundTripStorage(IStorage inner) : DelegatingStorage(inner), IThinStorage, IDurableStorage
{
    private bool _isDirty;

    public bool IsThin => true;

    public long DurableBlock { get; init; }

    public bool IsSettled => !_isDirty;

    /// <summary>Writes that were waited for.</summary>
    public int DurableWrites { get; private set; }

    /// <summary>Flushes that had writes to wait for.</summary>
    public int Flushes { get; private set; }

    /// <summary>Reads.</summary>
    public int Reads { get; private set; }

    /// <summary>Writes.</summary>
    public int Writes { get; private set; }

    /// <summary>Changes of the size, each of which takes several round trips.</summary>
    public int Resizes { get; private set; }

    /// <summary>What was waited for.</summary>
    public int Trips => Flushes + Reads + Resizes + DurableWrites;

    /// <summary>Starts over.</summary>
    public void Clear() => (Flushes, Reads, Writes, Resizes, DurableWrites) = (0, 0, 0, 0, 0);

    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Reads++;
        return base.ReadAsync(offset, buffer, cancellationToken);
    }

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        (_isDirty, Writes) = (true, Writes + 1);
        Resizes += offset + data.Length > Length ? 1 : 0;
        return base.WriteAsync(offset, data, cancellationToken);
    }

    public ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        DurableWrites++;
        return base.WriteAsync(offset, data, cancellationToken);
    }

    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        (_isDirty, Writes) = (true, Writes + 1);
        return base.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        (_isDirty, Writes) = (true, Writes + 1);
        return base.DiscardAsync(offset, length, cancellationToken);
    }

    public override ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        Resizes++;
        return base.SetLengthAsync(length, preallocation, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Flushes += _isDirty ? 1 : 0;
        _isDirty = false;
        return base.FlushAsync(cancellationToken);
    }
}
