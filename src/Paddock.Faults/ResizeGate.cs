using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Faults;

/// <summary>
/// Changes a device's size while no request is inside: requests in flight complete first, new ones wait until the change has finished.
/// </summary>
internal sealed class ResizeGate
{
    private volatile bool _shrunk;

    // a resize is in flight, or has failed
    private volatile bool _unsettled;

    /// <summary>The gate that requests pass through.</summary>
    public RequestGate Gate { get; } = new();

    /// <summary>
    /// Whether the device has ever shrunk: a request may then have been validated against a larger size than the current one.
    /// </summary>
    public bool HasShrunk => _shrunk;

    /// <summary>Whether a resize to the current size still has work to do, because an earlier resize failed half way.</summary>
    public bool IsUnsettled => _unsettled;

    /// <summary>Changes the size with the gate closed.</summary>
    /// <param name="device">Returns the device.</param>
    /// <param name="sizeOf">Returns the new size for the current one; its exceptions reach the caller, and nothing is changed.</param>
    /// <param name="objections">Returns the handlers, each of which returns why a new size is impossible, or null.</param>
    /// <param name="preallocation">Preallocation of the new part.</param>
    /// <param name="changed">Called once requests run again, if the size has changed, even if the resize failed after that.</param>
    /// <param name="cancellationToken">Cancels the resize.</param>
    /// <returns>The previous size.</returns>
    /// <remarks>Device and objections are evaluated once the gate is closed: until then it may wait for another resize.</remarks>
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

    /// <summary>Completes when no resize is in flight.</summary>
    public async ValueTask SettledAsync() => Gate.Leave(await Gate.EnterAsync());

    /// <summary>Reports that the device was replaced by another, of this size.</summary>
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

        // set first: if the resize fails half way, no request may reach a removed range, and the same size must not count as durable
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
