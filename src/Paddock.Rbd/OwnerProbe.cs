using System.Runtime.InteropServices;
using Paddock.Posix;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>What a question to the owner of an image has shown.</summary>
internal enum OwnerSign
{
    /// <summary>The owner runs.</summary>
    Answered,

    /// <summary>The cluster has passed the question on, and the owner has not answered in time.</summary>
    Silent,

    /// <summary>Nothing is shown: the cluster is slow, or was until now.</summary>
    Unclear,

    /// <summary>The owner cannot be asked: it is not Paddock, or has no right to watch an object of its own.</summary>
    NoLease,
}

/// <summary>
/// Asks the owner of an image whether it runs. Whoever asks watches the same object and must have its own answer counted, or the question
/// proves nothing: an OSD that is stopped, restarted or slow delays both.
/// </summary>
/// <param name="owner">The object; owned by the caller.</param>
internal sealed class OwnerProbe(OwnerObject owner) : IAsyncDisposable
{
    // the cluster counts in whole seconds
    private const ulong TimeoutMilliseconds = 1000;

    private const int NotPermitted = -1, NoAccess = -13;

    // a quick answer takes a millisecond, and the cluster reports a missing one after its timeout
    private static readonly long SlowAnswer = Nanoseconds(0.5), SlowSilence = Nanoseconds(1.7), Settling = Nanoseconds(5);

    private readonly nint[] _reply = GC.AllocateArray<nint>(2, pinned: true);
    private OwnerWatch? _watch;
    private volatile bool _isWatchLost;
    private long _settled;

    /// <summary>Completes when the object was removed: the image is being closed.</summary>
    public TaskCompletionSource Changed { get; private set; } = NewChange();

    /// <summary>Asks, for at most about a second unless the cluster is slow; one call at a time.</summary>
    /// <param name="client">Number of the owner.</param>
    public async Task<OwnerSign> AskAsync(long client)
    {
        int watched = await WatchAsync();
        if (watched < 0)
        {
            // neither the object nor the right to watch it
            return watched is RbdErrors.NotFoundResult or NotPermitted or NoAccess ? OwnerSign.NoLease : OwnerSign.Unclear;
        }

        long sent = BootClock.Now;
        var reply = await NotifyAsync();
        long now = BootClock.Now;
        if (reply?.Answered.Contains(owner.Cluster.ClientId) != true)
        {
            _settled = now + Settling;
            return OwnerSign.Unclear;
        }

        bool isSilent = reply.Silent.Contains(client) && !reply.Answered.Contains(client);
        if (now - sent > (reply.Silent.Count > 0 ? SlowSilence : SlowAnswer))
        {
            _settled = now + Settling;
        }

        return isSilent ? now < _settled ? OwnerSign.Unclear : OwnerSign.Silent
            : reply.Answered.Contains(client) ? OwnerSign.Answered : OwnerSign.NoLease;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _watch?.DisposeAsync() ?? default;

    private static long Nanoseconds(double seconds) => (long)(seconds * 1e9);

    private static TaskCompletionSource NewChange() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task<int> WatchAsync()
    {
        if (_isWatchLost)
        {
            _isWatchLost = false;
            Changed = NewChange();
            await (_watch?.DisposeAsync() ?? default);
            _watch = null;
        }

        if (_watch is not null)
        {
            return 0;
        }

        (_watch, int result) = await OwnerWatch.StartAsync(owner, OnWatchLost);
        return result;
    }

    private void OnWatchLost()
    {
        _isWatchLost = true;
        Changed.TrySetResult();
    }

    private async Task<NotifyReply?> NotifyAsync()
    {
        // with -ETIMEDOUT there is a reply as well
        _ = await RadosCall.RunAsync(Start);
        return TakeReply();
    }

    private int Start(nint completion)
    {
        _reply.AsSpan().Clear();
        return LibRados.Notify(
            owner.Context, owner.Name, completion, 0, 0, TimeoutMilliseconds, Marshal.UnsafeAddrOfPinnedArrayElement(_reply, 0),
            Marshal.UnsafeAddrOfPinnedArrayElement(_reply, 1));
    }

    private unsafe NotifyReply? TakeReply()
    {
        if (_reply[0] == 0)
        {
            return null;
        }

        var reply = NotifyReply.TryParse(new ReadOnlySpan<byte>((byte*)_reply[0], (int)_reply[1]));
        LibRados.Free(_reply[0]);
        return reply;
    }
}
