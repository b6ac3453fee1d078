using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>Receives completed commands: the queue that they came from.</summary>
internal interface ICommandQueue
{
    /// <summary>The client's share of long commands.</summary>
    LongWorkClient LongWork { get; }

    /// <summary>The controller; null before Connect, and when the queue has ended: its commands must not start then.</summary>
    Controller? Controller { get; }

    /// <summary>Sends the completion, with data if there is any, and frees the slot of the command.</summary>
    void Complete(Command command);

    /// <summary>Frees the command's slot without a completion.</summary>
    void Drop(Command command);
}

/// <summary>A command in flight. Each queue has one per entry and reuses them; a transport adds what it needs.</summary>
internal abstract class Command(ICommandQueue queue, int slot) : IThreadPoolWorkItem
{
    private readonly Lock _waiting = new();
    private CancellationTokenSource? _wait;
    private bool _isGivenUp;
    private SubmissionEntry _entry;
    private ValueTaskAwaiter<NvmeStatus> _running;
    private Action? _finishRun;

    /// <summary>Slot in the table of the queue: the tag of its transfers.</summary>
    public int Slot => slot;

    /// <summary>The client's share of long commands.</summary>
    public LongWorkClient LongWork => queue.LongWork;

    /// <inheritdoc cref="ICommandQueue.Controller"/>
    public Controller? Controller => queue.Controller;

    /// <summary>The submission entry.</summary>
    public ref readonly SubmissionEntry Entry => ref _entry;

    /// <summary>The command's data: from the host, or to be filled for it.</summary>
    public Memory<byte> Data { get; set; }

    /// <summary>Buffer that holds <see cref="Data"/>.</summary>
    public Slab? Buffer { get; set; }

    /// <summary>Dwords 0 and 1 of the completion.</summary>
    public ulong Result { get; set; }

    /// <summary>
    /// Cancels the command while a fault rule holds it. Every command in this slot has the same one, until one is cancelled.
    /// </summary>
    public CancellationTokenSource Cancellation { get; private set; } = new();

    /// <summary>
    /// Cancelled when the queue of the command has ended: it need not wait for other commands any more. For commands that may wait; others
    /// have no token.
    /// </summary>
    public CancellationToken WaitToken
    {
        get
        {
            lock (_waiting)
            {
                _wait ??= new CancellationTokenSource();
                if (_isGivenUp)
                {
                    _wait.Cancel();
                }

                return _wait.Token;
            }
        }
    }

    /// <summary>Whether the host aborted it while a fault rule held it.</summary>
    public bool IsAborted { get; set; }

    /// <summary>Status of the completed command.</summary>
    public NvmeStatus Status { get; set; }

    /// <summary>Command specific information for the error log, if the command fails.</summary>
    public ulong ErrorInformation { get; set; }

    /// <summary>Bytes of <see cref="Data"/> that were written for the host; the rest of the reply is cleared.</summary>
    public int Written { get; set; }

    /// <summary>Whether its slot is in use; written under the lock of the table.</summary>
    public bool IsInFlight { get; set; }

    /// <summary>Time at which it was received.</summary>
    public long StartedAt { get; set; }

    /// <summary>Time at which its I/O was done; 0 while it runs, and for commands without.</summary>
    public long EndedAt { get; set; }

    /// <summary>The queue's code for it, run on a thread of the pool.</summary>
    public Action<Command>? Deferred { get; set; }

    /// <summary>Starts a new command in this slot.</summary>
    public virtual void Begin(in SubmissionEntry entry)
    {
        _entry = entry;
        Data = default;
        Result = 0;
        ErrorInformation = 0;
        IsInFlight = true;
        IsAborted = false;
        _isGivenUp = false;
        _wait = null;
        if (Cancellation.IsCancellationRequested)
        {
            Cancellation = new CancellationTokenSource();
        }

        Written = 0;
        Status = NvmeStatus.Success;
        EndedAt = 0;
        StartedAt = Stopwatch.GetTimestamp();
    }

    /// <summary>Runs the slow part of the command on a thread other than the receiving one.</summary>
    public void Defer(Action<Command> run)
    {
        Deferred = run;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <inheritdoc/>
    public void Execute() => Deferred!(this);

    /// <summary>Ends the wait of the command for others; its queue has ended.</summary>
    public void GiveUpWait()
    {
        CancellationTokenSource? wait;
        lock (_waiting)
        {
            _isGivenUp = true;
            wait = _wait;
        }

        wait?.Cancel();
    }

    /// <summary>Completes the command when its operation ends; allocates nothing.</summary>
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

    /// <summary>Ends the command without a completion: its controller is reset.</summary>
    public void Drop() => queue.Drop(this);

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
