using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// Runs the requests of one ring. The ring's thread runs what the disk answers at once; what may take long runs elsewhere, side by side.
/// Writes to a zone reach the disk in the order of the ring.
/// </summary>
internal sealed class BlkQueue
{
    // zones share lanes: a lane keeps an order, and several let zones be written side by side
    private const int Lanes = 8;

    private readonly VirtioBlkDevice _device;
    private readonly Virtqueue _ring;
    private readonly ILateCompletion _late;
    private readonly WriteLane[] _lanes;
    private readonly Lock _lock = new();
    private readonly Stack<BlkRequest> _free = new();
    private InlinePace _pace;

    // the ring's thread alone: it has waited in vain for memory, and must look whether it is to stop
    private bool _starved;

    /// <param name="device">The device.</param>
    /// <param name="ring">The ring.</param>
    /// <param name="features">The feature bits that were agreed on: without VIRTIO_BLK_F_FLUSH, every write is made durable.</param>
    /// <param name="late">Told of requests that end later.</param>
    /// <param name="longWork">The front end's share of what takes long; a share of its own unless given.</param>
    public BlkQueue(VirtioBlkDevice device, Virtqueue ring, ulong features, ILateCompletion late, LongWorkClient? longWork = null)
    {
        LongWork = longWork ?? Serving.LongWork.Shared.Open();
        _device = device;
        _lanes = [.. Enumerable.Range(0, Lanes).Select(_ => new WriteLane(device.Writes))];
        _ring = ring;
        _late = late;
        IsWriteThrough = (features & BlkFeatures.Flush) == 0;
    }

    /// <summary>The front end's share of what takes long.</summary>
    internal LongWorkClient LongWork { get; }

    /// <summary>The driver will not flush.</summary>
    internal bool IsWriteThrough { get; }

    /// <summary>
    /// Takes what is available and runs it; what needs to wait ends later. Called by the ring's one thread, which then asks
    /// <see cref="Virtqueue.ShouldNotify"/> once. Waits where requests hold as much memory as they may.
    /// </summary>
    /// <param name="budget">Most requests to take.</param>
    /// <returns>
    /// How many were taken; less than the budget when nothing is available any more, or no memory came free for the last.
    /// </returns>
    /// <exception cref="RingException">The ring is damaged: close it. What was taken before still ends.</exception>
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

    /// <summary>A request has ended; its chain goes back to the driver.</summary>
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
    /// A request was cut off with its front end. Its chain stays the driver's: where requests in flight are recorded, the next back end
    /// takes it up.
    /// </summary>
    internal void Abandon(BlkRequest request)
    {
        lock (_lock)
        {
            _free.Push(request);
        }

        _ring.Release();
    }

    /// <summary>Wakes the driver for what has ended, since the ring's thread is about to wait.</summary>
    internal void Tell() => _late.Completed(_ring);

    /// <summary>An append of ours is about to land.</summary>
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

    // room first: those who have it may wait for the turn
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
