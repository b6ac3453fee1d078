using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// The device's side of a ring (virtio 1.2, 2.6 to 2.8). The driver may be hostile: invalid ring contents raise a
/// <see cref="RingException"/>, after which the ring must be closed.
/// </summary>
/// <remarks>
/// One thread takes (<see cref="TryTake"/>, <see cref="EnableNotifications"/>, <see cref="DisableNotifications"/>); any thread completes
/// and asks whether to notify. The memory, and the record of requests in flight, stay mapped until <see cref="CloseAsync"/> has completed.
/// Rings are little-endian (VIRTIO_F_VERSION_1), as is every processor that this runs on.
/// </remarks>
internal abstract unsafe class Virtqueue
{
    private readonly Lock _lock = new();
    private readonly Stack<DescriptorChain> _free = new();
    private TaskCompletionSource? _drained;
    private bool _closed;
    private int _inFlight;

    private protected Virtqueue(GuestMemory memory, RingFeatures features, int size)
    {
        Memory = memory;
        Features = features;
        Size = size;
    }

    /// <summary>Number of descriptors in the ring.</summary>
    public int Size { get; }

    /// <summary>Number of requests in flight.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>
    /// Reply to VHOST_USER_GET_VRING_BASE, exact once the ring is closed. Split: the next available index. Packed: the next available
    /// descriptor in bits 14:0 with its wrap counter in bit 15, the next used one in 30:16 with its in 31.
    /// </summary>
    public abstract uint Base { get; }

    /// <summary>The guest's memory.</summary>
    protected GuestMemory Memory { get; }

    /// <summary>Negotiated ring features.</summary>
    protected RingFeatures Features { get; }

    /// <summary>
    /// Opens a ring and replays the requests in flight at the end of a previous process first, in their original order.
    /// </summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="features">Negotiated ring features.</param>
    /// <param name="size">Number of descriptors: a power of two for a split ring, at most 32768.</param>
    /// <param name="addresses">Addresses of its parts.</param>
    /// <param name="baseIndex">
    /// From VHOST_USER_SET_VRING_BASE; as <see cref="Base"/>. A used record of requests in flight takes precedence.
    /// </param>
    /// <param name="inflight">Record of requests in flight; null if not negotiated.</param>
    /// <exception cref="RingException">A part is outside the memory or misaligned, or the record is damaged.</exception>
    public static Virtqueue Create(
        GuestMemory memory, RingFeatures features, int size, RingAddresses addresses, uint baseIndex, InflightRegion? inflight)
        => (features & RingFeatures.Packed) != 0
            ? new PackedVirtqueue(memory, features, size, addresses, baseIndex, inflight)
            : new SplitVirtqueue(memory, features, size, addresses, baseIndex, inflight);

    /// <summary>Takes the next request, which the caller owns until <see cref="Complete"/>.</summary>
    /// <returns>False if no request is available, or the ring is closed.</returns>
    /// <exception cref="RingException">The ring is damaged.</exception>
    public bool TryTake(out DescriptorChain chain)
    {
        chain = null!;
        if (!HasWork)
        {
            return false;
        }

        lock (_lock)
        {
            if (_closed)
            {
                return false;
            }

            if (!_free.TryPop(out var taken))
            {
                taken = new DescriptorChain();
            }

            bool found = false;
            try
            {
                taken.Clear();
                found = Take(taken);
            }
            finally
            {
                if (!found)
                {
                    _free.Push(taken);
                }
            }

            if (found)
            {
                _inFlight++;
                chain = taken;
            }

            return found;
        }
    }

    /// <summary>Returns a request to the driver immediately; <see cref="ShouldNotify"/> reports whether to notify it.</summary>
    /// <param name="chain">The request; owned by the ring again.</param>
    /// <param name="written">Number of writable bytes written, from the first.</param>
    public void Complete(DescriptorChain chain, uint written)
    {
        Put(chain, written);
        Release();
    }

    /// <summary>
    /// First half of <see cref="Complete"/>: the driver sees the request, but the ring does not count as drained, so that another
    /// thread may still call <see cref="ShouldNotify"/>.
    /// </summary>
    public void Put(DescriptorChain chain, uint written)
    {
        lock (_lock)
        {
            PutUsed(chain, written);
            _free.Push(chain);
        }
    }

    /// <summary>Second half of <see cref="Complete"/>: the caller no longer uses the ring.</summary>
    public void Release()
    {
        TaskCompletionSource? drained;
        lock (_lock)
        {
            drained = --_inFlight == 0 ? _drained : null;
        }

        drained?.TrySetResult();
    }

    /// <summary>Records the offset of an append before it is written, if records are kept, for a successor of this process.</summary>
    public virtual void NoteAppend(DescriptorChain chain, AppendNote note)
    {
    }

    /// <summary>
    /// Whether the driver requires a notification for the requests completed since the last call. Call it after a batch, and once after
    /// opening a recorded ring: a previous process may have ended before its notification.
    /// </summary>
    public bool ShouldNotify()
    {
        lock (_lock)
        {
            return WantsNotification();
        }
    }

    /// <summary>Requests a kick for the next available request.</summary>
    /// <returns>True if a request became available in the meantime, for which there may be no kick.</returns>
    public abstract bool EnableNotifications();

    /// <summary>Disables kicks; the driver may kick nevertheless.</summary>
    public abstract void DisableNotifications();

    /// <summary>Stops taking requests.</summary>
    /// <returns>A task that completes when nothing is in flight; the ring uses no memory after that.</returns>
    public Task CloseAsync()
    {
        lock (_lock)
        {
            _closed = true;
            if (_inFlight == 0)
            {
                return Task.CompletedTask;
            }

            _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _drained.Task;
        }
    }

    /// <summary>Whether a request may be available; without the lock.</summary>
    private protected abstract bool HasWork { get; }

    /// <summary>Fills a chain from the next available request; under the lock.</summary>
    private protected abstract bool Take(DescriptorChain chain);

    /// <summary>Writes a used entry; under the lock.</summary>
    private protected abstract void PutUsed(DescriptorChain chain, uint written);

    /// <summary>Under the lock.</summary>
    private protected abstract bool WantsNotification();

    /// <summary>Finds a part of the ring by its address in the front end.</summary>
    private protected static byte* Locate(GuestMemory memory, string part, ulong address, int length, int alignment)
    {
        byte* place = memory.FindUser(address, (ulong)length);
        return place == null ? throw new RingException($"{part} of {length} bytes at 0x{address:x}: not inside the guest's memory")
            : ((nuint)place & (nuint)(alignment - 1)) != 0 ? throw new RingException($"{part} at 0x{address:x}: not aligned to {alignment}")
            : place;
    }

    /// <summary>Locates an indirect table and returns its address.</summary>
    private protected byte* LocateTable(in Descriptor descriptor, out int count)
    {
        if ((Features & RingFeatures.Indirect) == 0)
        {
            throw new RingException($"an indirect table at 0x{descriptor.Address:x}: that was not agreed on");
        }

        count = (int)(descriptor.Length / Descriptor.Size);
        if (descriptor.Length % Descriptor.Size != 0 || count is 0 or > RingLimits.LongestTable)
        {
            throw new RingException($"an indirect table of {descriptor.Length} bytes at 0x{descriptor.Address:x}: "
                + $"1 to {RingLimits.LongestTable} descriptors of {Descriptor.Size} are taken");
        }

        byte* table = Memory.Find(descriptor.Address, descriptor.Length);
        return table != null ? table
            : throw new RingException(
                $"an indirect table of {descriptor.Length} bytes at 0x{descriptor.Address:x}: not inside the guest's memory");
    }
}
