namespace Paddock.Nvme.Pcie;

/// <summary>The queues that the host has created, and the positions that it sets. Used by the worker only.</summary>
/// <param name="doorbells">The doorbells.</param>
/// <param name="shadow">The shadow doorbells of the I/O queues.</param>
/// <param name="pin">The interrupt pin.</param>
/// <param name="queues">Number of queue pairs, with that of the admin queues.</param>
internal sealed class QueueSet(DoorbellTable doorbells, ShadowDoorbells shadow, InterruptPin pin, int queues)
{
    private readonly SubmissionQueue?[] _submission = new SubmissionQueue?[queues];
    private readonly CompletionQueue?[] _completion = new CompletionQueue?[queues];
    private readonly List<SubmissionQueue> _submissions = [];
    private readonly List<CompletionQueue> _completions = [];
    private readonly uint[] _rejected = new uint[2 * queues];
    private readonly int _epoch = pin.Epoch;
    private int _last;

    /// <summary>The submission queues.</summary>
    public List<SubmissionQueue> Submissions => _submissions;

    /// <summary>The completion queues.</summary>
    public List<CompletionQueue> Completions => _completions;

    /// <summary>The submission queue with an identifier; null if it does not exist.</summary>
    public SubmissionQueue? FindSubmission(uint id) => id < (uint)queues ? _submission[id] : null;

    /// <summary>The completion queue with an identifier; null if it does not exist.</summary>
    public CompletionQueue? FindCompletion(uint id) => id < (uint)queues ? _completion[id] : null;

    /// <summary>Adds a completion queue.</summary>
    /// <returns>False when the shadow doorbells cannot be written.</returns>
    public bool TryAdd(CompletionQueue queue)
    {
        _completion[queue.Id] = queue;
        _completions.Add(queue);
        return TryOpen((2 * queue.Id) + 1, queue.Entries);
    }

    /// <summary>Adds a submission queue.</summary>
    /// <returns>False when the shadow doorbells cannot be written.</returns>
    public bool TryAdd(SubmissionQueue queue)
    {
        _submission[queue.Id] = queue;
        _submissions.Add(queue);
        queue.Completions.Users++;
        return TryOpen(2 * queue.Id, queue.Table.Entries);
    }

    /// <summary>Removes a submission queue.</summary>
    public void Remove(SubmissionQueue queue)
    {
        doorbells.Close(2 * queue.Id);
        queue.Completions.Users--;
        _submission[queue.Id] = null;
        _submissions.Remove(queue);
    }

    /// <summary>Removes a completion queue.</summary>
    public void Remove(CompletionQueue queue)
    {
        doorbells.Close((2 * queue.Id) + 1);
        SetUnread(queue, false);
        _completion[queue.Id] = null;
        _completions.Remove(queue);
    }

    /// <summary>Takes the pages of the shadow doorbells, with the positions of the queues that exist.</summary>
    /// <returns>False when they cannot be written.</returns>
    public bool TryShadow(ulong values, ulong indexes)
    {
        TakePositions();
        shadow.Configure(values, indexes);
        foreach (var queue in _submissions)
        {
            if (queue.Id != 0 && !shadow.TryWrite(2 * queue.Id, (uint)queue.Tail))
            {
                return false;
            }
        }

        foreach (var queue in _completions)
        {
            if (queue.Id != 0 && !shadow.TryWrite((2 * queue.Id) + 1, (uint)queue.Head))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Looks at the positions that the host has set.</summary>
    /// <returns>False when the shadow doorbells cannot be read.</returns>
    public bool TryLook()
    {
        if (shadow.IsOn && _last > 0 && !shadow.TryRefresh(_last))
        {
            return false;
        }

        TakePositions();
        return true;
    }

    /// <summary>Looks at the position up to which the host has read a completion queue.</summary>
    public void TakeHead(CompletionQueue queue)
    {
        int index = (2 * queue.Id) + 1;
        uint position = Position(queue.Id, index);
        if (position != (uint)queue.Head && !queue.TryMoveHead(position))
        {
            Reject(index, position);
        }

        if (queue.IsUnread && queue.Head == queue.Tail)
        {
            SetUnread(queue, false);
        }
    }

    /// <summary>Records whether the host has entries of a completion queue to read.</summary>
    public void SetUnread(CompletionQueue queue, bool isUnread)
    {
        if (queue.IsUnread != isUnread && queue.Vector is { } vector)
        {
            queue.IsUnread = isUnread;
            pin.SetUnread(_epoch, vector, isUnread);
        }
    }

    /// <summary>Requests doorbells from the host, since the worker is about to sleep.</summary>
    /// <param name="forHeads">Whether those of completion queues are needed.</param>
    /// <returns>False when the shadow doorbells cannot be written.</returns>
    public bool TryRequestDoorbells(bool forHeads)
    {
        if (!shadow.IsOn)
        {
            return true;
        }

        foreach (var queue in _submissions)
        {
            if (queue.Id != 0 && !shadow.TrySetEvent(2 * queue.Id, (uint)queue.Tail))
            {
                return false;
            }
        }

        for (int i = 0; forHeads && i < _completions.Count; i++)
        {
            var queue = _completions[i];
            if (queue.Id != 0 && !shadow.TrySetEvent((2 * queue.Id) + 1, (uint)queue.Head))
            {
                return false;
            }
        }

        return true;
    }

    // the admin queue always uses the doorbells
    private uint Position(int queue, int index) => shadow.IsOn && queue != 0 ? shadow.Read(index) : doorbells.Read(index);

    private void TakePositions()
    {
        for (int i = 0; i < _submissions.Count; i++)
        {
            var queue = _submissions[i];
            int index = 2 * queue.Id;
            uint position = Position(queue.Id, index);
            if (position != (uint)queue.Tail && !queue.TryMoveTail(position))
            {
                Reject(index, position);
            }
        }

        for (int i = 0; i < _completions.Count; i++)
        {
            TakeHead(_completions[i]);
        }
    }

    // a value that stays in memory is reported once
    private void Reject(int index, uint position)
    {
        if (_rejected[index] != position)
        {
            _rejected[index] = position;
            doorbells.RejectValue();
        }
    }

    private bool TryOpen(int index, int entries)
    {
        doorbells.Open(index, entries);
        _rejected[index] = 0;
        _last = Math.Max(_last, index / 2);
        return index < 2 || !shadow.IsOn || shadow.TryWrite(index, 0);
    }
}
