using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Fault rules of one device, and the requests that they hold.</summary>
/// <remarks>
/// Without rules a request costs one volatile read. Rules count independently; the oldest that matches a request decides.
/// </remarks>
internal sealed class DeviceFaults : IHeldRequests
{
    /// <summary>Maximum number of rules; a spent rule is replaced by a new one.</summary>
    public const int MaxRules = 256;

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly List<Rule> _rules = [];
    private readonly List<Wait> _waits = [];
    private volatile bool _any;
    private Action? _requested;
    private int _lastId;

    /// <param name="time">Measures delays.</param>
    public DeviceFaults(TimeProvider? time = null) => _time = time ?? TimeProvider.System;

    /// <inheritdoc/>
    public event Action? Held;

    /// <summary>Raised for each request, before the rules. Without handlers and rules a request costs one volatile read.</summary>
    public event Action? Requested
    {
        add
        {
            lock (_lock)
            {
                _requested += value;
                Settle();
            }
        }

        remove
        {
            lock (_lock)
            {
                _requested -= value;
                Settle();
            }
        }
    }

    /// <summary>The rules, oldest first.</summary>
    public IReadOnlyList<DeviceFaultState> Rules
    {
        get
        {
            lock (_lock)
            {
                return [.. _rules.Select(r => new DeviceFaultState(
                    r.Id, r.Fault, r.Seen, r.Hits, _waits.Count(w => w.Rule == r.Id), r.IsSpent))];
            }
        }
    }

    internal bool IsIdle => !_any;

    /// <summary>Adds a rule.</summary>
    /// <returns>Number of the rule.</returns>
    /// <exception cref="BlockException">There are too many rules.</exception>
    public int Add(DeviceFault fault)
    {
        lock (_lock)
        {
            if (_rules.Count >= MaxRules)
            {
                int spent = _rules.FindIndex(r => r.IsSpent);
                if (spent < 0)
                {
                    throw new BlockException(BlockError.Busy, $"there are {MaxRules} rules already: clear some");
                }

                _rules.RemoveAt(spent);
            }

            _rules.Add(new Rule(++_lastId, fault));
            Settle();
            return _lastId;
        }
    }

    /// <summary>Removes a rule, or all; the requests held by it resume.</summary>
    /// <returns>Number of removed rules.</returns>
    public int Clear(int? id = null)
    {
        int gone;
        lock (_lock)
        {
            gone = _rules.RemoveAll(r => id is null || r.Id == id);
            Settle();
        }

        Release(id);
        return gone;
    }

    /// <summary>Resumes the requests held by a rule, or by any.</summary>
    /// <returns>Number of resumed requests.</returns>
    public int Release(int? id = null) => End(w => id is null || w.Rule == id, proceed: true);

    /// <summary>Fails every held request: the device is being closed or loses its power.</summary>
    /// <returns>Number of failed requests.</returns>
    public int GiveUpAll() => End(static _ => true, proceed: false);

    /// <inheritdoc/>
    public bool CancelHeld(CancellationTokenSource request)
    {
        var token = request.Token;
        Wait? held;
        lock (_lock)
        {
            held = _waits.Find(w => w.Request == token);
        }

        if (held is null)
        {
            return false;
        }

        // cancel before the wait ends, so that the slot replaces the source before its next use
        request.Cancel();
        return held.Ended.TrySetResult(false) || held.Ended.Task is { IsCompletedSuccessfully: true, Result: false };
    }

    /// <summary>Runs a request through the rules.</summary>
    /// <exception cref="BlockException">A rule failed the request, or it was cancelled while held.</exception>
    internal async ValueTask MeetAsync(DeviceOperations operation, long offset, long length, CancellationToken request)
    {
        _requested?.Invoke();
        if (Find(operation, offset, length) is not { } met)
        {
            return;
        }

        var fault = met.Fault;
        if (fault.Action == DeviceFaultAction.Hang || fault.Delay > TimeSpan.Zero)
        {
            await WaitAsync(met.Id, fault.Action == DeviceFaultAction.Hang ? Timeout.InfiniteTimeSpan : fault.Delay, request);
        }

        if (fault.Action == DeviceFaultAction.Fail)
        {
            throw new InjectedFaultException(fault.Error, "failed on demand") { Errno = fault.Errno, Answer = fault.Answer };
        }
    }

    private Rule? Find(DeviceOperations operation, long offset, long length)
    {
        Rule? met = null;
        lock (_lock)
        {
            foreach (var rule in _rules)
            {
                if (rule.Fits(operation, offset, length) && rule.Counts() && met is null)
                {
                    rule.Hits++;
                    met = rule;
                }
            }

            if (met is { IsSpent: true })
            {
                Settle();
            }
        }

        return met;
    }

    private async Task WaitAsync(int rule, TimeSpan time, CancellationToken request)
    {
        var wait = new Wait(rule, request);
        lock (_lock)
        {
            _waits.Add(wait);
        }

        Held?.Invoke();
        try
        {
            using var timer = _time.CreateTimer(static w => ((Wait)w!).Ended.TrySetResult(true), wait, time, Timeout.InfiniteTimeSpan);
            using var cancelled = request.UnsafeRegister(static w => ((Wait)w!).Ended.TrySetResult(false), wait);
            if (!await wait.Ended.Task)
            {
                throw new BlockException(BlockError.Cancelled, "the request was given up while a fault held it");
            }
        }
        finally
        {
            lock (_lock)
            {
                _waits.Remove(wait);
            }
        }
    }

    private int End(Predicate<Wait> which, bool proceed)
    {
        Wait[] chosen;
        lock (_lock)
        {
            chosen = [.. _waits.FindAll(which)];
        }

        return chosen.Count(w => w.Ended.TrySetResult(proceed));
    }

    private void Settle() => _any = _requested is not null || _rules.Exists(static r => !r.IsSpent);

    /// <summary>A waiting request.</summary>
    private sealed record Wait(int Rule, CancellationToken Request)
    {
        /// <summary>True if the request resumes.</summary>
        public TaskCompletionSource<bool> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool Equals(Wait? other) => ReferenceEquals(this, other);

        public override int GetHashCode() => Ended.GetHashCode();
    }

    /// <summary>A rule with its counters.</summary>
    private sealed class Rule(int id, DeviceFault fault)
    {
        private readonly Random _random = new(fault.Seed);

        public int Id => id;

        public DeviceFault Fault => fault;

        public long Seen { get; private set; }

        public long Hits { get; set; }

        public bool IsSpent => fault.Count != 0 && Hits >= fault.Count;

        public bool Fits(DeviceOperations operation, long offset, long length)
            => !IsSpent && (fault.Operations & operation) != 0
                && (operation == DeviceOperations.Flush || (offset < fault.Offset + Math.Min(fault.Length, long.MaxValue - fault.Offset)
                    && offset + length > fault.Offset));

        // counts a request that passed the filters; returns whether it matches
        public bool Counts()
        {
            long past = ++Seen - fault.Nth;
            return past >= 0 && past % fault.Every == 0 && (fault.Probability >= 1 || _random.NextDouble() < fault.Probability);
        }
    }
}
