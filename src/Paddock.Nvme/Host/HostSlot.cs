using System.Threading.Tasks.Sources;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>The slot of a host command: its data and the completion awaited by its caller.</summary>
internal sealed class HostSlot(HostQueue queue, ushort id) : IValueTaskSource<CompletionEntry>
{
    private ManualResetValueTaskSourceCore<CompletionEntry> _source = new() { RunContinuationsAsynchronously = false };
    private int _state;
    private bool _wantsAll;

    public ushort Id => id;

    public ReadOnlyMemory<byte> ToController { get; private set; }

    public Memory<byte> ToHost { get; private set; }

    /// <summary>Bytes received so far, from the start of <see cref="ToHost"/>.</summary>
    public int Filled { get; set; }

    public bool IsActive => Volatile.Read(ref _state) == 1;

    public ValueTask<CompletionEntry> Task => new(this, _source.Version);

    public void Begin(ReadOnlyMemory<byte> toController, Memory<byte> toHost, bool wantsAll)
    {
        _source.Reset();
        _wantsAll = wantsAll;
        Filled = 0;
        ToController = toController;
        ToHost = toHost;
        Volatile.Write(ref _state, 1);
    }

    public void End()
    {
        Volatile.Write(ref _state, 0);
        ToController = default;
        ToHost = default;
    }

    public void Complete(in CompletionEntry completion)
    {
        if (Interlocked.CompareExchange(ref _state, 2, 1) != 1)
        {
            return;
        }

        // the rest must not expose stale memory: a shorter list ends with zeroes, a short read fails
        ToHost.Span[Filled..].Clear();
        bool isShort = _wantsAll && Filled < ToHost.Length && completion.Status == NvmeStatus.Success;
        _source.SetResult(isShort ? completion with { Status = NvmeStatus.DataTransferError } : completion);
    }

    public void Fail()
    {
        if (Interlocked.CompareExchange(ref _state, 2, 1) == 1)
        {
            _source.SetException(new ConnectionLostException(wasSent: true));
        }
    }

    public CompletionEntry GetResult(short token)
    {
        try
        {
            return _source.GetResult(token);
        }
        finally
        {
            queue.Return(this);
        }
    }

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _source.OnCompleted(continuation, state, token, flags);
}
