using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>Waits until an image in RBD can be opened for writing, over a connection of its own.</summary>
/// <param name="target">The image.</param>
/// <param name="observer">Receives the signs of a dead owner; null: nobody.</param>
internal sealed class RbdTurn(RbdTarget target, ISuccessionObserver? observer = null) : IAsyncDisposable
{
    // two silent questions suffice; unclear ones between them add some seconds at most
    private const int MostLooks = 8;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(400), QuickPoll = TimeSpan.FromMilliseconds(25),
        QuickTime = TimeSpan.FromSeconds(2), EndLimit = TimeSpan.FromSeconds(2);

    private RbdSuccession? _succession;
    private Task<SuccessionState>? _looking;
    private bool _hasWaited;

    /// <summary>Who owns the image now, for messages; null if unknown, or nobody does.</summary>
    public string? Owner => _succession?.Owner?.ToString();

    /// <summary>Completes when the image has no owner, or its owner was dead and has been fenced.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        if (_hasWaited)
        {
            await Task.Delay(QuickPoll, cancellationToken);
        }

        _hasWaited = true;
        var quick = TimeSpan.Zero;
        while (await LookAsync(cancellationToken) is var state and not SuccessionState.Free)
        {
            if (state == SuccessionState.Suspected)
            {
                continue;
            }

            // the owner removes its object first and then releases the lock
            var delay = quick > TimeSpan.Zero ? QuickPoll : Poll;
            quick = await _succession!.IsChangedAsync(delay, cancellationToken) ? QuickTime : quick - delay;
        }
    }

    /// <summary>Takes the image from an owner that is dead.</summary>
    /// <returns>Whether it can be opened; false if the owner may be alive.</returns>
    /// <exception cref="BlockException">The cluster cannot be reached.</exception>
    public async Task<bool> TryFenceAsync()
    {
        var state = SuccessionState.Suspected;
        for (int i = 0; i < MostLooks && state == SuccessionState.Suspected; i++)
        {
            state = await LookAsync(CancellationToken.None);
        }

        return state == SuccessionState.Free;
    }

    /// <summary>Ends; while the cluster does not answer a question, the connection ends later, when it does.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_looking is { } looking && await Task.WhenAny(looking, Task.Delay(EndLimit)) != looking)
        {
            _ = EndAfterAsync(looking);
            return;
        }

        await EndAsync();
    }

    private async Task EndAfterAsync(Task<SuccessionState> looking)
    {
        await looking.ContinueWith(static l => _ = l.Exception, TaskScheduler.Default);
        await EndAsync();
    }

    private async ValueTask EndAsync()
    {
        await (_succession?.DisposeAsync() ?? default);
        _succession = null;
    }

    // a wait that was cancelled leaves its question behind: the next one waits for the same
    private async Task<SuccessionState> LookAsync(CancellationToken cancellationToken)
    {
        _looking ??= StartAsync();
        try
        {
            var state = await _looking.WaitAsync(cancellationToken);
            _looking = null;
            return state;
        }
        catch (BlockException)
        {
            // the next wait connects again
            _looking = null;
            await EndAsync();
            throw;
        }
    }

    private async Task<SuccessionState> StartAsync()
    {
        _succession ??= await Task.Run(() => RbdSuccession.Open(target, observer));
        return await _succession.LookAsync();
    }
}
