using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// A storage that fails or suspends requests on demand: QEMU's blkdebug. Rules wait for named events, which the engine above reports
/// through <see cref="OnEventAsync"/>; a rule whose event has occurred fails the next matching request.
/// </summary>
internal sealed partial class FaultStorage : DelegatingStorage
{
    private const int SectorSize = 512;

    private readonly Lock _lock = new();
    private readonly List<FaultRule> _rules;
    private readonly List<InjectErrorRule> _active = [];
    private readonly List<Break> _breaks = [];
    private readonly List<Stop> _stops = [];
    private readonly FaultLimits _limits;
    private readonly PaddedWrites? _padding;

    // read without the lock: without rules and breakpoints, requests and events must cost nothing
    private volatile bool _waits, _fails;

    // a write was tried since the last flush that succeeded
    private volatile bool _isWritten;
    private int _state = 1;

    /// <param name="inner">The storage for requests that pass; owned by this one.</param>
    /// <param name="rules">The rules. The event <see cref="FaultEvents.None"/> occurs now.</param>
    /// <param name="limits">Limits of the requests that are passed on; null: none.</param>
    public FaultStorage(IStorage inner, IEnumerable<FaultRule> rules, FaultLimits? limits = null)
        : base(inner)
    {
        _limits = limits ?? new FaultLimits();
        _padding = _limits.Align > 1 ? new PaddedWrites(this, _limits.Align) : null;
        _rules = [.. rules];
        _waits = _rules.Count > 0;
        lock (_lock)
        {
            Apply(FaultEvents.None);
        }
    }

    /// <summary>Current state, which rules may require; initially 1.</summary>
    public int State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _padding is null ? ReadUnpaddedAsync(offset, buffer, cancellationToken) : _padding.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => _padding is null ? WriteUnpaddedAsync(offset, data, cancellationToken) : _padding.WriteAsync(offset, data, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => _padding is null
            ? WriteZeroesUnpaddedAsync(offset, length, flags, cancellationToken)
            : _padding.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _fails || _limits.IsLimiting
            ? CheckedDiscardAsync(offset, length, cancellationToken) : Inner.DiscardAsync(offset, length, cancellationToken);

    /// <summary>Flushes what was written since the last flush; without a write nothing is flushed, and nothing fails.</summary>
    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (_fails && _isWritten)
        {
            return CheckedFlushAsync(cancellationToken);
        }

        _isWritten = false;
        return Inner.FlushAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _fails ? CheckedGetStatusAsync(offset, length, cancellationToken) : Inner.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask OnEventAsync(string eventName)
    {
        if (!_waits)
        {
            return Inner.OnEventAsync(eventName);
        }

        Task stopped;
        lock (_lock)
        {
            Apply(eventName);
            stopped = StopAt(eventName);
        }

        return stopped.IsCompleted ? Inner.OnEventAsync(eventName) : StoppedAsync(stopped, eventName);
    }

    /// <summary>Resumes every suspended request, then closes the storage underneath.</summary>
    public override ValueTask DisposeAsync()
    {
        ReleaseAll();
        return base.DisposeAsync();
    }

    internal ValueTask ReadUnpaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => _fails || _limits.IsLimiting
            ? CheckedReadAsync(offset, buffer, cancellationToken) : Inner.ReadAsync(offset, buffer, cancellationToken);

    internal ValueTask WriteUnpaddedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        _isWritten = true;
        return _fails || _waits || _limits.IsLimiting
            ? CheckedWriteAsync(offset, data, cancellationToken) : Inner.WriteAsync(offset, data, cancellationToken);
    }

    internal ValueTask WriteZeroesUnpaddedAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        _isWritten = true;
        return _fails || _waits || _limits.IsLimiting
            ? CheckedWriteZeroesAsync(offset, length, flags, cancellationToken)
            : Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <summary>Triggers the rules of an event. Under the lock.</summary>
    private void Apply(string eventName)
    {
        int? next = null;
        bool replaced = false;
        foreach (var rule in _rules)
        {
            if (rule.Event != eventName || (rule.State != 0 && rule.State != _state))
            {
                continue;
            }

            if (rule is InjectErrorRule inject)
            {
                if (!replaced)
                {
                    _active.Clear();
                    replaced = true;
                }

                _active.Add(inject);
            }
            else if (rule is SetStateRule set)
            {
                // if there are several, QEMU obeys the first: it walks its list backwards
                next ??= set.NewState;
            }
        }

        _state = next ?? _state;
        _fails = _active.Count > 0;
    }

    private async ValueTask FailAsync(FaultIo io, long offset, long length, CancellationToken cancellationToken)
    {
        if (Take(io, offset, length) is not { } rule)
        {
            return;
        }

        if (rule.Delay > TimeSpan.Zero)
        {
            await Task.Delay(rule.Delay, cancellationToken);
        }

        if (!rule.Immediately)
        {
            await Task.Yield();
        }

        if (rule.Errno != 0)
        {
            string what = io == FaultIo.Flush ? "flush" : $"{io} of {length} bytes at {offset}";
            throw new BlockException(rule.Error, $"injected error {rule.Errno} at event {rule.Event}: {what}") { Errno = rule.Errno };
        }
    }

    private InjectErrorRule? Take(FaultIo io, long offset, long length)
    {
        lock (_lock)
        {
            int at = _active.FindIndex(rule => (rule.Io & io) != 0 && Touches(rule.Sector, offset, length));
            if (at < 0)
            {
                return null;
            }

            var rule = _active[at];
            if (rule.Once)
            {
                _active.RemoveAt(at);
                _rules.RemoveAt(_rules.FindIndex(other => ReferenceEquals(other, rule)));
                _fails = _active.Count > 0;
                _waits = _rules.Count > 0 || _breaks.Count > 0;
            }

            return rule;
        }
    }

    private async ValueTask CheckedReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        do
        {
            var part = buffer[..Math.Min(_limits.Transfer, buffer.Length)];
            await FailAsync(FaultIo.Read, offset, part.Length, cancellationToken);
            await Inner.ReadAsync(offset, part, cancellationToken);
            offset += part.Length;
            buffer = buffer[part.Length..];
        }
        while (buffer.Length > 0);
    }

    private async ValueTask CheckedWriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await OnEventAsync(FaultEvents.Write);
        try
        {
            await WritePartsAsync(offset, data, cancellationToken);
        }
        finally
        {
            await OnEventAsync(FaultEvents.WriteDone);
        }
    }

    private async ValueTask WritePartsAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        do
        {
            var part = data[..Math.Min(_limits.Transfer, data.Length)];
            await FailAsync(FaultIo.Write, offset, part.Length, cancellationToken);
            await Inner.WriteAsync(offset, part, cancellationToken);
            offset += part.Length;
            data = data[part.Length..];
        }
        while (data.Length > 0);
    }

    private async ValueTask WriteZeroPartsAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        foreach (var part in _limits.SplitZeroes(offset, length))
        {
            if (part.IsRange)
            {
                await FailAsync(FaultIo.WriteZeroes, part.Offset, part.Length, cancellationToken);
                await Inner.WriteZeroesAsync(part.Offset, part.Length, flags, cancellationToken);
                continue;
            }

            if ((flags & ZeroFlags.NoFallback) != 0)
            {
                throw new BlockException(BlockError.NotSupported, $"{part.Length} bytes are shorter than opt-write-zero") { Errno = 95 };
            }

            await WritePartsAsync(part.Offset, new byte[part.Length], cancellationToken);
        }
    }

    private async ValueTask CheckedWriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await OnEventAsync(FaultEvents.WriteZeroes);
        try
        {
            await WriteZeroPartsAsync(offset, length, flags, cancellationToken);
        }
        finally
        {
            await OnEventAsync(FaultEvents.WriteDone);
        }
    }

    private async ValueTask CheckedDiscardAsync(long offset, long length, CancellationToken cancellationToken)
    {
        foreach (var part in _limits.SplitDiscard(offset, length))
        {
            await FailAsync(FaultIo.Discard, part.Offset, part.Length, cancellationToken);
            await Inner.DiscardAsync(part.Offset, part.Length, cancellationToken);
        }
    }

    private async ValueTask CheckedFlushAsync(CancellationToken cancellationToken)
    {
        // a flush has no bytes: a rule for a sector never matches it
        await FailAsync(FaultIo.Flush, 0, 0, cancellationToken);
        _isWritten = false;
        await Inner.FlushAsync(cancellationToken);
    }

    private async ValueTask<BlockStatus> CheckedGetStatusAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await FailAsync(FaultIo.BlockStatus, offset, length, cancellationToken);
        return await Inner.GetStatusAsync(offset, length, cancellationToken);
    }

    private async ValueTask StoppedAsync(Task stopped, string eventName)
    {
        await stopped;
        await Inner.OnEventAsync(eventName);
    }

    private static bool Touches(long sector, long offset, long length)
        => sector == -1 || (length > 0 && sector >= 0 && sector * SectorSize >= offset && sector * SectorSize < offset + length);
}
