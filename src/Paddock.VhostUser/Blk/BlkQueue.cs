using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Runs the requests of one ring. Requests that the disk completes at once run on the ring's thread; slow ones run concurrently on others.
/// Writes to a zone reach the disk in the order of the ring.
/// </summary>
internal sealed class BlkQueue
{
    // zones share lanes: each lane keeps its order, and several lanes let zones be written concurrently
    private const int Lanes = 8;

    private readonly VirtioBlkDevice _device;
    private readonly Virtqueue _ring;
    private readonly ILateCompletion _late;
    private readonly WriteLane[] _lanes;
    private readonly Lock _lock = new();
    private readonly Stack<BlkRequest> _free = new();
    private InlinePace _pace;

    // used by the ring's thread only: its wait for memory timed out, and it must check whether to stop
    private bool _starved;

    /// <param name="device">The device.</param>
    /// <param name="ring">The ring.</param>
    /// <param name="features">Negotiated feature bits: without VIRTIO_BLK_F_FLUSH, every write is made durable.</param>
    /// <param name="late">Notified of requests that complete later.</param>
    /// <param name="longWork">The front end's share of long requests; by default, a share of its own.</param>
    public BlkQueue(VirtioBlkDevice device, Virtqueue ring, ulong features, ILateCompletion late, LongWorkClient? longWork = null)
    {
        LongWork = longWork ?? Serving.LongWork.Shared.Open();
        _device = device;
        _lanes = [.. Enumerable.Range(0, Lanes).Select(_ => new WriteLane(device.Writes))];
        _ring = ring;
        _late = late;
        IsWriteThrough = (features & BlkFeatures.Flush) == 0;
    }

    /// <summary>The front end's share of long requests.</summary>
    internal LongWorkClient LongWork { get; }

    /// <summary>Whether the driver never flushes.</summary>
    internal bool IsWriteThrough { get; }

    /// <summary>
    /// Takes available requests and runs them; those that must wait complete later. Called by the ring's only thread, which then calls <see
    /// cref="Virtqueue.ShouldNotify"/> once. Waits while requests hold the maximum amount of memory.
    /// </summary>
    /// <param name="budget">Maximum number of requests to take.</param>
    /// <returns>Number of requests taken; less than the budget if no more are available, or if no memory was freed for the last.</returns>
    /// <exception cref="RingException">The ring is damaged and must be closed. Requests taken earlier still complete.</exception>
    public int Run(int budget)
    {
        int taken = 0;
        _starved = false;
        while (taken < budget && !_starved && _ring.TryTake(out var chain))
        {
            taken++;
            Dispatch(chain);
        }

        return taken;
    }

    /// <summary>Completes a request and returns its chain to the driver.</summary>
    internal void End(BlkRequest request, DescriptorChain chain, uint written, bool here)
    {
        lock (_lock)
        {
            _free.Push(request);
        }

        if (here)
        {
            _ring.Complete(chain, written);
            return;
        }

        _ring.Put(chain, written);
        try
        {
            _late.Completed(_ring);
        }
        finally
        {
            _ring.Release();
        }
    }

    /// <summary>
    /// Drops a request that was aborted with its front end. Its chain is not returned: if requests in flight are recorded, the next back
    /// end resumes it.
    /// </summary>
    internal void Abandon(BlkRequest request)
    {
        lock (_lock)
        {
            _free.Push(request);
        }

        _ring.Release();
    }

    /// <summary>Notifies the driver of completed requests, because the ring's thread is about to wait.</summary>
    internal void Tell() => _late.Completed(_ring);

    /// <summary>Records the offset of an append before its data is written.</summary>
    internal void Note(DescriptorChain chain, AppendNote note) => _ring.NoteAppend(chain, note);

    private void Dispatch(DescriptorChain chain)
    {
        var request = Rent();
        if (!request.Begin(chain))
        {
            request.Refuse(here: true);
            return;
        }

        switch (request.Type)
        {
            case RequestType.GetId:
                request.Run(here: true);
                break;
            case RequestType.Out when _device.Zones is null && request.Length >= BlkLimits.ShortestInTurn:
                RunInTurn(request);
                break;
            case RequestType.In:
            case RequestType.Out when _device.Zones is null:
                RunTransfer(request);
                break;
            case RequestType.Out or RequestType.ZoneAppend:
                RunOrdered(request);
                break;
            default:
                if (Reserve(request, away: true))
                {
                    ThreadPool.UnsafeQueueUserWorkItem(request, preferLocal: false);
                }

                break;
        }
    }

    private void RunTransfer(BlkRequest request)
    {
        bool here = request.Length <= BlkLimits.LongestInline && _pace.IsHere;
        if (!Reserve(request, away: !here))
        {
            return;
        }

        if (here)
        {
            RunHere(request);
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(request, preferLocal: false);
        }
    }

    // reserve memory first: requests that hold memory may wait for the turn
    private void RunInTurn(BlkRequest request)
    {
        if (!Reserve(request, away: true))
        {
            return;
        }

        if (request.Length <= BlkLimits.LongestInline && _pace.IsHere && _device.Writes.TryEnter())
        {
            try
            {
                RunHere(request);
            }
            finally
            {
                _device.Writes.Leave();
            }
        }
        else
        {
            _device.Writes.Add(request);
        }
    }

    private void RunOrdered(BlkRequest request)
    {
        var lane = _lanes[request.Zone % Lanes];
        bool here = request.Length <= BlkLimits.LongestInline && lane.IsIdle && _pace.IsHere && !request.IsParted;
        if (!Reserve(request, away: !here))
        {
            return;
        }

        if (here)
        {
            RunHere(request);
        }
        else
        {
            lane.Add(request);
        }
    }

    private bool Reserve(BlkRequest request, bool away)
    {
        bool has = request.Reserve(away);
        if (!has)
        {
            _starved = true;
            request.Refuse(here: false);
        }

        return has;
    }

    private void RunHere(BlkRequest request)
    {
        long since = InlinePace.Now;
        request.Run(here: true);
        _pace.Took(since);
    }

    private BlkRequest Rent()
    {
        lock (_lock)
        {
            return _free.TryPop(out var request) ? request : new BlkRequest(this, _device);
        }
    }
}
