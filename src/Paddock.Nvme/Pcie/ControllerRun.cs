using System.Diagnostics;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Pcie;

/// <summary>The admin queues as the host sets them in registers.</summary>
/// <param name="Submission">Address of the submission queue.</param>
/// <param name="Submissions">Its entries.</param>
/// <param name="Completion">Address of the completion queue.</param>
/// <param name="Completions">Its entries.</param>
internal readonly record struct AdminQueues(ulong Submission, int Submissions, ulong Completion, int Completions);

/// <summary>
/// The life of a controller from one enabling to the next reset: its queues, and the thread that serves them. A reset ends it at once,
/// whatever the disk does; commands in flight then end here and are seen by nobody.
/// </summary>
internal sealed class ControllerRun : ICommandOwner, IControllerQueue
{
    private const int StackSize = 512 << 10;

    // commands that are fetched at once, and bytes of data after which completions do not wait for the rest of them
    private const int Batch = 16, BatchBytes = 128 << 10;
    private const int SpinsBetweenLooks = 20;

    // doorbells that the host writes into memory are looked at so often while the queues are idle
    private const int MappedRestMilliseconds = 1;
    private const int CoalescingRestMilliseconds = 1;

    // an idle worker returns its buffers soon
    private const int BuffersRestMilliseconds = 1000;

    // for the host to be told that the controller fails
    private static readonly TimeSpan AnnouncementLimit = TimeSpan.FromMilliseconds(250);

    private readonly Controller _controller;
    private readonly PcieOptions _options;
    private readonly IDeviceMemory _memory;
    private readonly IInterrupts _interrupts;
    private readonly InterruptPin _pin;
    private readonly AdminQueues _admin;
    private readonly DmaGate _gate;
    private readonly WorkSignal _signal = new();
    private readonly DoorbellTable _doorbells;
    private readonly QueueSet _queues;
    private readonly MemoryBudget _budget;
    private readonly TransferBuffers _buffers;
    private readonly VectorSignals _signals;
    private readonly CompletionPoster _poster;
    private readonly CommandStarter _starter;
    private readonly byte[] _fetched = new byte[Batch * SubmissionEntry.Size];
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _state = new();
    private PollPace _pace;
    private volatile int _worker;
    private volatile bool _needsHeads, _settlesPin;
    private volatile string? _failure;
    private bool _detached;

    public ControllerRun(
        Controller controller, PcieOptions options, IDeviceMemory memory, IInterrupts interrupts, InterruptPin pin, IDoorbells doorbells,
        AdminQueues admin)
    {
        (_controller, _options, _memory, _interrupts, _pin, _admin) = (controller, options, memory, interrupts, pin, admin);
        int pairs = options.IoQueues + 1;
        _gate = new DmaGate(memory);
        _doorbells = new DoorbellTable(doorbells, pairs);
        _queues = new QueueSet(_doorbells, new ShadowDoorbells(memory, pairs), pin, pairs);
        _budget = new MemoryBudget(controller.Target.Options.ConnectionBytes);
        _signals = new VectorSignals(interrupts, controller.Interrupts!, options.Vectors);
        var queueCommands = new QueueCommands(controller, _queues, this);
        var maps = new TransferMapPool();
        _buffers = new TransferBuffers(controller.Target.Buffers);
        _poster = new CompletionPoster(
            controller, memory, _budget, _queues, queueCommands, _signals, maps, _buffers, options.Latencies);
        _starter = new CommandStarter(controller, memory, _gate, _budget, queueCommands, maps, _buffers);
        _pace = new PollPace((long)(options.Polling.TotalSeconds * Stopwatch.Frequency));
    }

    /// <inheritdoc/>
    public LongWorkClient LongWork { get; } = Serving.LongWork.Shared.Open();

    /// <inheritdoc/>
    public Controller? Controller => _gate.IsClosed ? null : _controller;

    /// <summary>Why the controller has failed; null when it has not.</summary>
    public string? Fault { get; private set; }

    /// <inheritdoc/>
    public bool IsAuthenticating => false;

    /// <summary>Starts the thread, which makes the controller ready.</summary>
    public void Start()
    {
        try
        {
            new Thread(Run, StackSize) { IsBackground = true, Name = "nvme pcie" }.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            Fail("no thread can be created");
            End();
        }
    }

    /// <summary>Takes a doorbell that the host writes.</summary>
    public void Ring(int index, uint value)
    {
        _doorbells.Write(index, value);

        // the position in a completion queue matters to a worker that sleeps only if something waits for it
        if ((index & 1) == 0 || _needsHeads || _doorbells.HasErrors)
        {
            _signal.Wake();
        }
    }

    /// <summary>Completes the unmasking of the pin once the positions that the host has set until now are known.</summary>
    public void SettlePin()
    {
        _settlesPin = true;

        // pairs with Close: either it sees the request, or we see that the run is closed
        Interlocked.MemoryBarrier();
        if (_gate.IsClosed)
        {
            _interrupts.UnmaskPin();
        }
        else
        {
            _signal.Wake();
        }
    }

    /// <summary>Pauses or resumes accesses to the host's memory.</summary>
    public void Pause(bool paused)
    {
        _gate.Pause(paused);
        _signal.Wake();
    }

    /// <summary>
    /// Ends accesses to the host's memory; does not wait for the disk. From here on the run changes nothing of the controller.
    /// </summary>
    public void Close()
    {
        lock (_state)
        {
            _detached = true;
        }

        _gate.Close();
        Interlocked.MemoryBarrier();
        if (_settlesPin)
        {
            _interrupts.UnmaskPin();
        }

        LongWork.Dispose();
        _signal.Wake();
    }

    /// <summary>Completes when no command of a run that is closed is in flight; those that a fault holds are given up.</summary>
    public async Task QuietAsync()
    {
        await _over.Task;

        // a request for an event may have been accepted while the controller was reset
        _controller.Events.Clear();
        await Task.WhenAll(_queues.Submissions.Select(q => HeldCommands.EndAllAsync(_controller, q.Table)));
    }

    /// <inheritdoc/>
    /// <remarks>Commands of the admin queue either end at once or are requests for events.</remarks>
    public bool TryAbort(ushort commandId) => false;

    /// <summary>The controller is ended by its target: the host must reset it.</summary>
    public void Dispose() => EndSoon("the server has ended the controller");

    /// <summary>Fails the controller, as a drive without power does; nothing accesses the host's memory after that.</summary>
    public async Task LosePowerAsync()
    {
        EndSoon("the power is cut");
        if (await Task.WhenAny(_over.Task, Task.Delay(AnnouncementLimit)) != _over.Task)
        {
            _gate.Close();
            Fail("the power is cut");
            _signal.Wake();
        }
    }

    /// <inheritdoc/>
    public void Completed(PcieCommand command)
    {
        if (Environment.CurrentManagedThreadId == _worker)
        {
            _poster.Add(command);
        }
        else if (!_signal.TryAdd(command))
        {
            _poster.Discard(command);
        }
    }

    /// <inheritdoc/>
    public void Discard(PcieCommand command) => _poster.Discard(command);

    // a host that is told resets the controller at once; others find out when a command times out
    private void EndSoon(string why)
    {
        if (_failure is null)
        {
            _controller.Events.ErrorOccurred(ControllerError.Persistent);
            _failure = why;
            _signal.Wake();
        }
    }

    private void Run()
    {
        _worker = Environment.CurrentManagedThreadId;
        try
        {
            Open();
            while (!_gate.IsClosed)
            {
                if (Pass())
                {
                    _pace.Worked();
                }
                else if (!_gate.IsPaused && _pace.KeepsPolling(Stopwatch.GetTimestamp()))
                {
                    Thread.SpinWait(SpinsBetweenLooks);
                }
                else
                {
                    Rest();
                }
            }
        }
        catch (Exception e)
        {
            // whatever a host causes ends only its own controller
            Fail($"internal error: {e}");
        }
        finally
        {
            End();
        }
    }

    private void Open()
    {
        var completions = new CompletionQueue(0, _admin.Completion, _admin.Completions, vector: 0);
        _queues.TryAdd(completions);
        _queues.TryAdd(new SubmissionQueue(this, 0, _admin.Submission, _admin.Submissions, completions));
        lock (_state)
        {
            if (!_detached && _controller.Attach(0, this))
            {
                _controller.Enable();
            }
        }
    }

    private void End()
    {
        // the identifier of this thread may be that of another one soon
        _worker = 0;
        _gate.CloseOwn();
        _signal.Close();
        _poster.TakeEnded(_signal);
        _poster.DiscardAll();
        _buffers.Clear();
        foreach (var queue in _queues.Submissions)
        {
            // it waits for commands that no longer complete
            if (queue.Deletion is { } deletion)
            {
                queue.Deletion = null;
                _poster.Discard(deletion);
            }
        }

        _over.TrySetResult();
    }

    private void Fail(string why)
    {
        _gate.CloseOwn();
        lock (_state)
        {
            Fault ??= why;
            if (!_detached)
            {
                _controller.SetStatus(Properties.Fatal);
            }
        }
    }

    /// <summary>Serves every queue once.</summary>
    /// <returns>False when there was nothing to do.</returns>
    private bool Pass()
    {
        bool worked = false;
        string? failure = _failure;
        if (_signal.HasEnded)
        {
            _poster.TakeEnded(_signal);
            worked = true;
        }

        if (!_gate.TryEnter())
        {
            // a host that has taken away the bus does not keep the controller from failing
            if (failure is not null)
            {
                Fail(failure);
            }

            return false;
        }

        // with a barrier: a request that comes after this finds positions that are read after it
        bool settlesPin = _settlesPin && Interlocked.Exchange(ref _settlesPin, false);
        if (!_queues.TryLook())
        {
            Fail("the shadow doorbells cannot be read");
        }

        if (settlesPin)
        {
            _interrupts.UnmaskPin();
        }

        ReportErrors();
        _gate.Leave();
        if (_poster.HasEnded || _poster.CanUnblock || _signals.IsWaiting)
        {
            worked |= _poster.HasEnded || _poster.CanUnblock;
            Post();
        }

        if (failure is not null)
        {
            Fail(failure);
        }

        for (int i = 0; i < _queues.Submissions.Count; i++)
        {
            var queue = _queues.Submissions[i];
            if (queue.CanFetch && !_budget.IsExceeded && !_gate.IsClosed)
            {
                worked = true;
                Serve(queue);
            }
        }

        return worked;
    }

    private void Serve(SubmissionQueue queue)
    {
        if (!_gate.TryEnter())
        {
            return;
        }

        int count = queue.Fetch(_memory, _fetched);
        if (count < 0)
        {
            Fail($"submission queue {queue.Id} cannot be read");
        }

        _gate.Leave();
        int bytes = 0;
        for (int i = 0; i < count; i++)
        {
            var command = queue.Table.TryBegin(SubmissionEntry.Read(_fetched.AsSpan(i * SubmissionEntry.Size)), out bool isConflict);
            if (command is null)
            {
                break;
            }

            if (isConflict)
            {
                command.Finish(NvmeStatus.CommandIdConflict);
                continue;
            }

            _starter.Start(command);
            bytes += command.Data.Length;
            if (bytes >= BatchBytes)
            {
                bytes = 0;
                Post();
            }
        }

        Post();
    }

    private void Post()
    {
        if (!_gate.TryEnter())
        {
            return;
        }

        if (_poster.TryPost())
        {
            _signals.Flush();
        }
        else
        {
            Fail("a completion queue cannot be written");
        }

        _gate.Leave();
    }

    private void ReportErrors()
    {
        if (!_doorbells.HasErrors)
        {
            return;
        }

        var (register, value) = _doorbells.TakeErrors();
        if (register)
        {
            _controller.Events.ErrorOccurred(ControllerError.InvalidRegister);
        }

        if (value)
        {
            _controller.Events.ErrorOccurred(ControllerError.InvalidValue);
        }
    }

    private void Rest()
    {
        _needsHeads = _poster.IsBlocked || (!_interrupts.IsMessageSignalled && _pin.IsPending);
        if (_gate.TryEnter())
        {
            if (!_queues.TryRequestDoorbells(_needsHeads))
            {
                Fail("the shadow doorbells cannot be written");
            }

            _gate.Leave();
        }

        _signal.BeginSleep();
        if (_gate.IsClosed || HasWork())
        {
            _signal.EndSleep();
            return;
        }

        if (_pace.Window == 0)
        {
            _buffers.Clear();
        }

        _signal.Sleep(_signals.IsWaiting ? CoalescingRestMilliseconds : _options.MappedDoorbells is not null ? MappedRestMilliseconds
            : _buffers.IsEmpty ? -1 : BuffersRestMilliseconds);
        _pace.Woke(Stopwatch.GetTimestamp());
    }

    private bool HasWork()
    {
        if (_signal.HasEnded || _failure is not null)
        {
            return true;
        }

        if (!_gate.TryEnter())
        {
            return false;
        }

        bool isReadable = _queues.TryLook();
        _gate.Leave();
        return !isReadable || _settlesPin || _doorbells.HasErrors || _poster.HasEnded || _poster.CanUnblock
            || (!_budget.IsExceeded && _queues.Submissions.Exists(static q => q.CanFetch));
    }
}
