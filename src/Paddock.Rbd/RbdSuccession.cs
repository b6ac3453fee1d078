using Paddock.Block;
using Paddock.Posix;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>Whether an image can be taken.</summary>
internal enum SuccessionState
{
    /// <summary>Nobody owns it, or its owner has been fenced.</summary>
    Free,

    /// <summary>Its owner runs, or may run.</summary>
    Owned,

    /// <summary>Its owner has not answered once.</summary>
    Suspected,
}

/// <summary>
/// Observes the owner of an image, and fences one that does not answer: two questions in turn that the cluster has certainly passed on. The
/// owner's client is blocklisted before its lock is broken, and what it may still answer from memory is over when the image is free.
/// </summary>
internal sealed class RbdSuccession : IAsyncDisposable
{
    private const int SignsOfDeath = 2, Busy = -16;

    private readonly RbdTarget _target;
    private readonly RbdCluster _cluster;
    private readonly OwnerObject _object;
    private readonly OwnerProbe _probe;
    private readonly RbdLock _lock;
    private readonly nint _image;
    private int _silent;
    private long _doubted;

    private RbdSuccession(RbdTarget target, RbdCluster cluster, nint image)
    {
        (_target, _cluster, _image) = (target, cluster, image);
        _object = new OwnerObject(cluster, RbdLock.IdOf(image));
        _probe = new OwnerProbe(_object);
        _lock = new RbdLock(cluster, image, target.ToString());
    }

    /// <summary>The owner that was last seen; null if nobody owns the image.</summary>
    public RbdOwner? Owner { get; private set; }

    /// <summary>Connects; waits for the cluster.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public static RbdSuccession Open(RbdTarget target)
    {
        var cluster = RbdCluster.Connect(target, caches: false, isReader: true);
        nint image = 0;
        try
        {
            RbdErrors.Check(
                LibRbd.OpenReadOnly(cluster.Pool, target.Image, out image, null), $"error reading header from {target.Spec}");
            return new RbdSuccession(target, cluster, image);
        }
        catch
        {
            _ = image != 0 ? LibRbd.Close(image) : 0;
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>Looks at the lock, asks its holder, and fences it if it does not answer for the second time.</summary>
    public async Task<SuccessionState> LookAsync()
    {
        long client = (await _lock.ReadHolderAsync()).Client;
        if (client == 0)
        {
            Owner = null;
            return SuccessionState.Free;
        }

        if (Owner?.Id != client)
        {
            (_silent, _doubted) = (0, 0);
            Owner = await FindOwnerAsync();
        }

        if (Owner is not { } owner)
        {
            return SuccessionState.Free;
        }

        switch (await _probe.AskAsync(owner.Id))
        {
            case OwnerSign.Silent when ++_silent >= SignsOfDeath:
                return await FenceAsync(owner) ? SuccessionState.Free : SuccessionState.Owned;
            case OwnerSign.Silent:
                await DoubtAsync(owner);
                return SuccessionState.Suspected;
            case OwnerSign.NoLease:
                // the cluster's own judgement, after its timeout for watches; whoever opens the image then breaks the lock
                _silent = 0;
                return await Task.Run(() => _lock.IsAlive(owner, isOwn: false)) ? SuccessionState.Owned : SuccessionState.Free;
            default:
                _silent = 0;
                return SuccessionState.Owned;
        }
    }

    /// <summary>Waits for a sign that the owner is closing the image.</summary>
    /// <param name="limit">How long at most.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Whether there was one.</returns>
    public async Task<bool> IsChangedAsync(TimeSpan limit, CancellationToken cancellationToken)
    {
        var changed = _probe.Changed.Task;
        return await Task.WhenAny(changed, Task.Delay(limit, cancellationToken)) == changed
            || (cancellationToken.IsCancellationRequested ? throw new OperationCanceledException(cancellationToken) : false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _probe.DisposeAsync();
        await Task.Run(() =>
        {
            _ = LibRbd.Close(_image);
            _object.Dispose();
            _cluster.Dispose();
        });
    }

    // from here on the owner, if it runs after all, cannot prolong its lease without removing the doubt
    private async Task DoubtAsync(RbdOwner owner)
    {
        bool isWritten = await _object.DoubtAsync(owner.Id, _cluster.ClientId) >= 0;
        _doubted = isWritten ? BootClock.Now : 0;
    }

    private async Task<bool> FenceAsync(RbdOwner owner)
    {
        (_silent, Owner) = (0, null);
        if (!await BreakAsync(owner))
        {
            return false;
        }

        bool isDoubtKept = _doubted != 0 && await _object.ClearAsync(owner.Id, _cluster.ClientId) >= 0;
        if (!isDoubtKept)
        {
            _ = await _object.ClearAsync(owner.Id, null);
            _doubted = BootClock.Now;
        }

        // the lease is over when it would be if it had been confirmed at that time
        var rest = RbdLease.TermOfOthers - TimeSpan.FromTicks((BootClock.Now - _doubted) / TimeSpan.NanosecondsPerTick);
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest);
        }

        return true;
    }

    private Task<RbdOwner?> FindOwnerAsync()
        => WritableAsync(image => new RbdLock(_cluster, image, _target.ToString()).FindOwnerAsync());

    // false if it is not the holder any more, by its address: another server was quicker
    private Task<bool> BreakAsync(RbdOwner owner) => WritableAsync(image =>
    {
        int broken = LibRbd.BreakLock(image, LibRbd.LockExclusive, owner.Address);
        if (broken is not (Busy or RbdErrors.NotFoundResult))
        {
            RbdErrors.Check(broken, $"cannot break the lock of {owner} on '{_target}'");
        }

        return Task.FromResult(broken >= 0);
    });

    // librbd shows the owner's address only to those who could write; nothing is written
    private async Task<T> WritableAsync<T>(Func<nint, Task<T>> work)
    {
        nint image = 0;
        RbdErrors.Check(
            await Task.Run(() => LibRbd.Open(_cluster.Pool, _target.Image, out image, null)), $"error reading header from {_target.Spec}");
        try
        {
            return await Task.Run(() => work(image));
        }
        finally
        {
            await Task.Run(() => LibRbd.Close(image));
        }
    }
}
