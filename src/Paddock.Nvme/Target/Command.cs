using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>Where a command goes when it is done: the queue that it came from.</summary>
internal interface ICommandQueue
{
    /// <summary>The connection's share of what takes long.</summary>
    LongWorkClient LongWork { get; }

    /// <summary>Sends the completion, with data where there is some, and frees the command's slot.</summary>
    void Complete(Command command);
}

/// <summary>A command in flight. Each queue keeps as many as it has entries and uses them again and again.</summary>
internal sealed class Command(ICommandQueue queue, int slot) : IThreadPoolWorkItem
{
    private SubmissionEntry _entry;
    private ValueTaskAwaiter<NvmeStatus> _running;
    private Action? _finishRun;

    /// <summary>Its place in the queue's table: the tag of its transfers.</summary>
    public int Slot => slot;

    /// <summary>The connection's share of what takes long.</summary>
    public LongWorkClient LongWork => queue.LongWork;

    /// <summary>What the host sent.</summary>
    public ref readonly SubmissionEntry Entry => ref _entry;

    /// <summary>The command's data: from the host, or to be filled for it.</summary>
    public Memory<byte> Data { get; set; }

    /// <summary>What keeps <see cref="Data"/> alive.</summary>
    public Slab? Buffer { get; set; }

    /// <summary>Dwords 0 and 1 of the completion.</summary>
    public ulong Result { get; set; }

    /// <summary>
    /// Cancels the command while a fault rule holds it. Every command in this slot has the same one, until one is cancelled.
    /// </summary>
    public CancellationTokenSource Cancellation { get; private set; } = new();

    /// <summary>Whether the host asked for its end while a fault held it back.</summary>
    public bool IsAborted { get; set; }

    /// <summary>How it ended.</summary>
    public NvmeStatus Status { get; set; }

    /// <summary>Bytes of <see cref="Data"/> that were written for the host; the answer's rest is cleared.</summary>
    public int Written { get; set; }

    /// <summary>Bytes that count against the connection's limit of memory until the command's end.</summary>
    public int Held { get; set; }

    /// <summary>Whether a part of its data was damaged on the way.</summary>
    public bool IsBroken { get; set; }

    /// <summary>Bytes of data that have come so far.</summary>
    public int Received { get; set; }

    /// <summary>Whether its slot is taken; written under the table's lock.</summary>
    public bool IsInFlight { get; set; }

    /// <summary>When its capsule came.</summary>
    public long StartedAt { get; set; }

    /// <summary>The queue's code for it, run on a thread of the pool.</summary>
    public Action<Command>? Deferred { get; set; }

    /// <summary>Starts a new command in this slot.</summary>
    public void Begin(in SubmissionEntry entry)
    {
        _entry = entry;
        Data = default;
        Result = 0;
        Received = 0;
        IsInFlight = true;
        IsAborted = false;
        if (Cancellation.IsCancellationRequested)
        {
            Cancellation = new CancellationTokenSource();
        }

        IsBroken = false;
        Written = 0;
        Held = 0;
        Status = NvmeStatus.Success;
        StartedAt = Stopwatch.GetTimestamp();
    }

    /// <summary>Runs the command's slow part away from the thread that receives.</summary>
    public void Defer(Action<Command> run)
    {
        Deferred = run;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <inheritdoc/>
    public void Execute() => Deferred!(this);

    /// <summary>Completes the command when what it does is done; allocates nothing.</summary>
    public void FinishAfter(ValueTask<NvmeStatus> run)
    {
        var running = run.GetAwaiter();
        _running = running;
        if (running.IsCompleted)
        {
            FinishRun();
        }
        else
        {
            running.UnsafeOnCompleted(_finishRun ??= FinishRun);
        }
    }

    /// <summary>Completes the command.</summary>
    public void Finish(NvmeStatus status)
    {
        Status = status;
        queue.Complete(this);
    }

    private void FinishRun()
    {
        NvmeStatus status;
        try
        {
            status = _running.GetResult();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            status = NvmeStatus.InternalError;
        }

        Finish(status);
    }
}
