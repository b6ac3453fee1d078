using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// The device's side of a ring (virtio 1.2, 2.6 to 2.8). The driver at the other end may be hostile: what does not hold is a
/// <see cref="RingException"/>, after which the ring is to be closed.
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

    /// <summary>Descriptors in the ring.</summary>
    public int Size { get; }

    /// <summary>Requests that were taken and are not completed.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>
    /// What VHOST_USER_GET_VRING_BASE answers, exact once the ring is closed. Split: the next available index. Packed: the next available
    /// descriptor in bits 14:0 with its wrap counter in bit 15, the next used one in 30:16 with its in 31.
    /// </summary>
    public abstract uint Base { get; }

    /// <summary>The guest's memory.</summary>
    protected GuestMemory Memory { get; }

    /// <summary>What was agreed on.</summary>
    protected RingFeatures Features { get; }

    /// <summary>
    /// Opens a ring, and brings back what was in flight when a former process ended: that is taken first, in its old order.
    /// </summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="features">What was agreed on.</param>
    /// <param name="size">Descriptors in the ring: a power of two for a split one, at most 32768.</param>
    /// <param name="addresses">Where its parts stand.</param>
    /// <param name="baseIndex">
    /// From VHOST_USER_SET_VRING_BASE; as <see cref="Base"/>. A used record of requests in flight knows better and is believed.
    /// </param>
    /// <param name="inflight">Where requests in flight are recorded; null where that was not agreed on.</param>
    /// <exception cref="RingException">A part does not lie inside the memory or is misaligned, or the record is damaged.</exception>
    public static Virtqueue Create(
        GuestMemory memory, RingFeatures features, int size, RingAddresses addresses, uint baseIndex, InflightRegion? inflight)
        => (features & RingFeatures.Packed) != 0
            ? new PackedVirtqueue(memory, features, size, addresses, baseIndex, inflight)
            : new SplitVirtqueue(memory, features, size, addresses, baseIndex, inflight);

    /// <summary>Takes the next request; it is the caller's until <see cref="Complete"/>.</summary>
    /// <returns>False when there is none, or the ring is closed.</returns>
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

    /// <summary>Returns a request to the driver, which sees it at once; <see cref="ShouldNotify"/> tells whether to wake it.</summary>
    /// <param name="chain">The request; the ring's again.</param>
    /// <param name="written">How many of its writable bytes were written, from the first on.</param>
    public void Complete(DescriptorChain chain, uint written)
    {
        Put(chain, written);
        Release();
    }

    /// <summary>
    /// The first half of <see cref="Complete"/>: the driver sees the request, and the ring is not drained yet, so that a thread which is
    /// not the ring's own may still ask <see cref="ShouldNotify"/>.
    /// </summary>
    public void Put(DescriptorChain chain, uint written)
    {
        lock (_lock)
        {
            PutUsed(chain, written);
            _free.Push(chain);
        }
    }

    /// <summary>The second half: the caller does not touch the ring any more.</summary>
    public void Release()
    {
        TaskCompletionSource? drained;
        lock (_lock)
        {
            drained = --_inFlight == 0 ? _drained : null;
        }

        drained?.TrySetResult();
    }

    /// <summary>Records where an append is about to land, if records are kept: should this process end, its successor will know.</summary>
    public virtual void NoteAppend(DescriptorChain chain, AppendNote note)
    {
    }

    /// <summary>
    /// Whether the driver wants to be woken for what was completed since the last call. Call it after a batch, and once after a ring was
    /// brought back: a former process may have ended before it woke the driver.
    /// </summary>
    public bool ShouldNotify()
    {
        lock (_lock)
        {
            return WantsNotification();
        }
    }

    /// <summary>Asks the driver to kick when it makes something available.</summary>
    /// <returns>True when something became available meanwhile: there may be no kick for it.</returns>
    public abstract bool EnableNotifications();

    /// <summary>Tells the driver that kicks are not needed; it may kick all the same.</summary>
    public abstract void DisableNotifications();

    /// <summary>Takes nothing any more.</summary>
    /// <returns>A task that completes when nothing is in flight: from then on the ring touches no memory.</returns>
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

    /// <summary>Whether something may be there to take; without the lock.</summary>
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

    /// <summary>Adds the descriptors of an indirect table's place to a chain of a ring; returns where the table stands.</summary>
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
