namespace Paddock.Handover;

/// <summary>
/// What the blocks of the conventional zones may contain: the last version that was flushed, or any that was written later. Each block has
/// one writer at a time.
/// </summary>
/// <param name="count">Number of blocks.</param>
internal sealed class BlockModel(int count)
{
    private readonly Lock _lock = new();
    private readonly State[] _blocks = [.. Enumerable.Range(0, count).Select(static _ => new State())];

    /// <summary>Number of blocks.</summary>
    public int Count => count;

    /// <summary>Begins a write to a block that nobody writes.</summary>
    /// <returns>The block; null: none was found soon.</returns>
    public int? Begin(Random random, long version)
    {
        lock (_lock)
        {
            for (int i = 0; i < 8; i++)
            {
                int block = random.Next(count);
                if (_blocks[block] is { IsBusy: false, IsUncertain: false } state)
                {
                    state.IsBusy = true;
                    state.Issued.Add(version);
                    return block;
                }
            }

            return null;
        }
    }

    /// <summary>Ends a write.</summary>
    /// <param name="block">The block.</param>
    /// <param name="version">What was written.</param>
    /// <param name="isDone">Whether it succeeded.</param>
    /// <param name="isAbandoned">Whether no answer came, so that the server may still execute it.</param>
    public void End(int block, long version, bool isDone, bool isAbandoned)
    {
        lock (_lock)
        {
            var state = _blocks[block];
            state.IsBusy = false;
            state.IsUncertain |= isAbandoned;
            state.Done = isDone ? version : state.Done;
        }
    }

    /// <summary>What is written now, and durable once a flush that begins now has succeeded.</summary>
    public long[] Written()
    {
        lock (_lock)
        {
            return [.. _blocks.Select(static b => b.Done)];
        }
    }

    /// <summary>The oldest version that a block may have.</summary>
    public long OldestOf(int block)
    {
        lock (_lock)
        {
            return _blocks[block].Durable;
        }
    }

    /// <summary>A flush has succeeded.</summary>
    public void Flushed(long[] written)
    {
        lock (_lock)
        {
            for (int i = 0; i < count; i++)
            {
                var state = _blocks[i];
                state.Durable = Math.Max(state.Durable, written[i]);
                state.Issued.RemoveAll(v => v < state.Durable);
            }
        }
    }

    /// <summary>Takes what a block contains after a hand-over, before new writes.</summary>
    /// <param name="block">The block.</param>
    /// <param name="version">Its version.</param>
    /// <param name="keepsAll">Whether nothing that was written may be lost, flushed or not.</param>
    /// <param name="isFenced">Whether writes that were abandoned cannot be executed any more.</param>
    /// <returns>What is wrong; null: nothing.</returns>
    public string? Found(int block, long version, bool keepsAll, bool isFenced)
    {
        lock (_lock)
        {
            var state = _blocks[block];
            long least = keepsAll && !state.IsUncertain ? Math.Max(state.Durable, state.Done) : state.Durable;
            if (version < least || (version != state.Durable && version != state.Done && !state.Issued.Contains(version)))
            {
                return $"block {block} has version {version}: {state.Durable} was flushed, {state.Done} written";
            }

            if (isFenced)
            {
                state.IsUncertain = false;
                state.Issued.RemoveAll(v => v != version);
            }

            state.Done = state.IsUncertain ? state.Done : version;
            return null;
        }
    }

    private sealed class State
    {
        public long Durable { get; set; }

        public long Done { get; set; }

        public List<long> Issued { get; } = [];

        public bool IsBusy { get; set; }

        public bool IsUncertain { get; set; }
    }
}
