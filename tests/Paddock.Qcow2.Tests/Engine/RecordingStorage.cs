using Paddock.Block;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>A storage in memory that notes flushes, named steps and writes in order, and fails on request.</summary>
internal sealed class RecordingStorage() : DelegatingStorage(new MemoryStorage())
{
    /// <summary>What happened: "flush", an event's name, or "write OFFSET+LENGTH".</summary>
    public List<string> Log { get; } = [];

    /// <summary>The next flush fails.</summary>
    public bool FailNextFlush { get; set; }

    /// <summary>The next write to this offset fails.</summary>
    public long? FailWriteAt { get; set; }

    /// <summary>The next write of guest data fails.</summary>
    public bool FailNextData { get; set; }

    /// <summary>Forgets what happened.</summary>
    public void Restart() => Log.Clear();

    /// <summary>What happened, but for plain writes.</summary>
    public IEnumerable<string> Steps => Log.Where(static line => !line.StartsWith("write ", StringComparison.Ordinal));

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        if (FailWriteAt == offset)
        {
            FailWriteAt = null;
            throw new BlockException(BlockError.Io, "write fails");
        }

        Log.Add($"write {offset}+{data.Length}");
        return base.WriteAsync(offset, data, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (FailNextFlush)
        {
            FailNextFlush = false;
            throw new BlockException(BlockError.Io, "flush fails");
        }

        Log.Add("flush");
        return base.FlushAsync(cancellationToken);
    }

    public override ValueTask OnEventAsync(string eventName)
    {
        if (FailNextData && eventName == "write_aio")
        {
            FailNextData = false;
            throw new BlockException(BlockError.Io, "data write fails");
        }

        Log.Add(eventName);
        return base.OnEventAsync(eventName);
    }
}
