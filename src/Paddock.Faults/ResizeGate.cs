using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Faults;

/// <summary>
/// Changes a device's size while no request is inside: those under way end first, new ones wait and see the device as it is afterwards.
/// </summary>
internal sealed class ResizeGate
{
    private volatile bool _shrunk;

    // a change of the size is under way, or has failed
    private volatile bool _unsettled;

    /// <summary>What requests pass through.</summary>
    public RequestGate Gate { get; } = new();

    /// <summary>
    /// Whether the device has ever become smaller: a request may then have been validated against a larger size than the one that it meets.
    /// </summary>
    public bool HasShrunk => _shrunk;

    /// <summary>Whether a change to the size that the device has already is still to be made: an earlier one failed half way.</summary>
    public bool IsUnsettled => _unsettled;

    /// <summary>Changes the size with the gate closed.</summary>
    /// <param name="device">Returns the device.</param>
    /// <param name="sizeOf">Returns the new size for the current one; what it throws reaches the caller, and nothing is changed.</param>
    /// <param name="objections">Returns the handlers of which each returns why a new size is impossible, or null.</param>
    /// <param name="preallocation">What is reserved for the new part.</param>
    /// <param name="changed">Called when requests run again, if the size is another, even where the change failed after that.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>The previous size.</returns>
    /// <remarks>Device and objections are those of the time when the gate is closed: until then it may wait for another change.</remarks>
    public async ValueTask<long> ResizeAsync(
        Func<IBlockDevice> device, Func<long, long> sizeOf, Func<Func<long, string?>?> objections, Preallocation preallocation,
        Action changed, CancellationToken cancellationToken)
    {
        bool isChanged = false;
        await Gate.CloseAsync();
        try
        {
            var current = device();
            long before = current.Length;
            try
            {
                await ResizeClosedAsync(current, sizeOf(before), objections(), preallocation, cancellationToken);
                return before;
            }
            finally
            {
                isChanged = current.Length != before;
            }
        }
        finally
        {
            Gate.Open();
            if (isChanged)
            {
                changed();
            }
        }
    }

    /// <summary>Completes when no change of the size is under way.</summary>
    public async ValueTask SettledAsync() => Gate.Leave(await Gate.EnterAsync());

    /// <summary>The device was replaced by another, of this size.</summary>
    public void Replaced(long before, long now) => _shrunk |= now < before;

    private async ValueTask ResizeClosedAsync(
        IBlockDevice device, long length, Func<long, string?>? objections, Preallocation preallocation, CancellationToken cancellationToken)
    {
        foreach (var objection in Delegate.EnumerateInvocationList(objections))
        {
            if (objection(length) is { } why)
            {
                throw new BlockException(BlockError.NotSupported, why);
            }
        }

        bool changes = length != device.Length;
        if (!changes && !_unsettled)
        {
            return;
        }

        // set first: whatever fails half way, no request meets what may be gone, and the same size again is not taken for durable
        _shrunk |= length < device.Length;
        _unsettled = true;
        if (changes)
        {
            await device.ResizeAsync(length, preallocation, cancellationToken);
        }

        await device.FlushAsync(cancellationToken);
        _unsettled = false;
    }
}
