using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>An open image in RBD. Requests allocate nothing; the other calls wait for the cluster on a thread of the pool.</summary>
internal sealed class RbdImage : ILeasedStorage, IAsyncDisposable
{
    private const int MinOrder = 12, MaxOrder = 25;

    // librbd counts bytes of some requests in 31 bits
    private const long MaxRequest = 1 << 30;

    private readonly RbdCluster _cluster;
    private readonly OwnershipLoss _loss;
    private readonly RbdCache _cache;
    private readonly RbdOperations _operations;
    private readonly bool _isLocked;
    private RbdLease? _lease;
    private nint _image;
    private long _length;

    private unsafe RbdImage(RbdCluster cluster, nint image, RbdTarget target, bool readOnly)
    {
        (_cluster, _image, Target, IsReadOnly) = (cluster, image, target, readOnly);
        Name = target.ToString();
        _loss = new OwnershipLoss(Name);
        _cache = readOnly ? new RbdCache(RbdCacheMode.Off) : RbdCache.Of(image);
        _operations = new RbdOperations(Name, _loss, _cache);
        RbdErrors.Check(
            LibRbd.Stat(image, out var information, (nuint)sizeof(LibRbd.ImageInformation)), $"cannot read the size of '{Name}'");
        RbdErrors.Check(LibRbd.GetFeatures(image, out ulong features), $"cannot read the features of '{Name}'");
        ObjectSize = 1L << information.Order;
        RbdErrors.Check(LibRbd.GetStripeUnit(image, out ulong stripe), $"cannot read the stripes of '{Name}'");
        WholeBytes = Math.Min(ObjectSize, (long)stripe);
        _length = (long)information.Size;
        HasFastDiff = (features & LibRbd.FeatureFastDiff) != 0;
        _isLocked = !readOnly && (features & LibRbd.FeatureExclusiveLock) != 0;
    }

    /// <summary>The image and its cluster.</summary>
    public RbdTarget Target { get; }

    /// <summary>The name that opens it again, for messages.</summary>
    public string Name { get; }

    /// <summary>Number of the client of the cluster that has it open.</summary>
    public long ClientId => _cluster.ClientId;

    /// <summary>Whether it was opened for reading only, as every snapshot is.</summary>
    public bool IsReadOnly { get; }

    /// <summary>Bytes of an object.</summary>
    public long ObjectSize { get; }

    /// <summary>Bytes of the aligned blocks of the image that lie in one object each.</summary>
    public long WholeBytes { get; }

    /// <summary>Whether the map of objects tells which of them hold data.</summary>
    public bool HasFastDiff { get; }

    /// <summary>Bytes; changes with <see cref="ResizeAsync"/> alone.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <inheritdoc/>
    public bool IsConfirmed => _lease?.IsConfirmed ?? (_loss.Reason is null);

    /// <inheritdoc/>
    public Task Lost => _loss.Lost;

    /// <inheritdoc/>
    public string? LossReason => _loss.Reason;

    /// <inheritdoc/>
    public ValueTask ConfirmAsync()
    {
        _loss.ThrowIfLost();
        return _lease?.ConfirmAsync() ?? default;
    }

    /// <summary>Opens an image; for writing, with its exclusive lock if it has that feature.</summary>
    /// <param name="target">Which.</param>
    /// <param name="readOnly">Whether it is not written.</param>
    /// <param name="caches">Whether librbd may keep written data until the next flush.</param>
    /// <exception cref="BlockException">
    /// It cannot be reached, does not exist, or is in use by another client (<see cref="BlockError.Busy"/>).
    /// </exception>
    public static async Task<RbdImage> OpenAsync(RbdTarget target, bool readOnly, bool caches = true)
    {
        if (target.Snapshot is not null && !readOnly)
        {
            throw new BlockException(BlockError.ReadOnly, $"'{target}' is a snapshot: it can be opened for reading only") { Errno = 30 };
        }

        try
        {
            return await OpenFreeAsync(target, readOnly, caches);
        }
        catch (BlockException e) when (e.Error == BlockError.Busy)
        {
            // the cluster notices only after 30 seconds that a client is dead
            await using var turn = new RbdTurn(target);
            if (!await turn.TryFenceAsync())
            {
                throw;
            }
        }

        return await OpenFreeAsync(target, readOnly, caches);
    }

    /// <summary>Creates an image of zeroes.</summary>
    /// <param name="target">Which; it must not exist.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="objectSize">Bytes of an object, a power of two from 4 KiB to 32 MiB; null: the cluster's default, mostly 4 MiB.</param>
    /// <exception cref="BlockException">It exists (<see cref="BlockError.AlreadyExists"/>), or the cluster cannot be reached.</exception>
    public static Task CreateAsync(RbdTarget target, long length, long? objectSize = null)
    {
        CheckObjectSize(objectSize);
        return target.Snapshot is not null
            ? throw new BlockException(BlockError.InvalidArgument, $"'{target}' is the name of a snapshot, which cannot be created here")
            : Task.Run(() => Create(target, length, objectSize));
    }

    /// <summary>Removes an image that nobody has open.</summary>
    public static Task RemoveAsync(RbdTarget target) => Task.Run(() =>
    {
        using var cluster = RbdCluster.Connect(target, caches: false, isReader: true);
        RbdErrors.Check(LibRbd.Remove(cluster.Pool, target.Image), $"cannot remove '{target}'");
    });

    /// <summary>Rejects a size of objects that RBD does not have.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.InvalidArgument"/>.</exception>
    public static void CheckObjectSize(long? bytes)
    {
        if (bytes is { } size && (!long.IsPow2(size) || size < 1L << MinOrder || size > 1L << MaxOrder))
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"objects of {size} bytes: expected a power of two from {1L << MinOrder} to {1L << MaxOrder}");
        }
    }

    /// <summary>Fills a buffer; the range is inside the image.</summary>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer)
        => Rent().Submit(_image, new RbdRequest(RbdRequestKind.Read, offset, buffer.Length), buffer);

    /// <summary>Writes; the range is inside the image.</summary>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data)
        => Rent().Submit(_image, new RbdRequest(RbdRequestKind.Write, offset, data.Length), data);

    /// <summary>Whether <see cref="WriteThroughAsync"/> is possible.</summary>
    public bool CanWriteThrough => _cache.CanWriteThrough;

    /// <summary>Whether everything that has completed is durable.</summary>
    public bool IsSettled => _cache.IsSettled;

    /// <summary>Writes, and completes when that is durable; the range is inside the image.</summary>
    public ValueTask WriteThroughAsync(long offset, ReadOnlyMemory<byte> data)
        => Rent().Submit(_image, new RbdRequest(RbdRequestKind.WriteThrough, offset, data.Length), data);

    /// <summary>Makes a range zero.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes, inside the image.</param>
    /// <param name="thin">Whether its space is freed; else zeroes are stored.</param>
    public ValueTask WriteZeroesAsync(long offset, long length, bool thin)
        => RangeAsync(thin ? RbdRequestKind.ZeroThin : RbdRequestKind.ZeroThick, offset, length);

    /// <summary>Frees the space of a range where that is cheap.</summary>
    public ValueTask DiscardAsync(long offset, long length) => RangeAsync(RbdRequestKind.Discard, offset, length);

    /// <summary>Makes all completed writes durable.</summary>
    public ValueTask FlushAsync()
    {
        _loss.ThrowIfLost();
        return _cache.TryBeginFlush() ? FlushCacheAsync() : default;
    }

    /// <summary>Changes the size.</summary>
    public Task ResizeAsync(long length) => CallAsync(image =>
    {
        RbdErrors.Check(LibRbd.Resize(image, (ulong)length), $"cannot resize '{Name}' to {length} bytes");
        Volatile.Write(ref _length, length);
        return true;
    });

    /// <summary>Lists runs of data.</summary>
    /// <param name="start">First byte, at the beginning of an object.</param>
    /// <param name="end">End.</param>
    /// <param name="limit">Most runs.</param>
    public Task<RbdExtents> FindExtentsAsync(long start, long end, int limit) => CallAsync(image =>
    {
        bool isMapped = HasFastDiff && LibRbd.GetFlags(image, out ulong flags) >= 0
            && (flags & (LibRbd.FlagObjectMapInvalid | LibRbd.FlagFastDiffInvalid)) == 0;
        return RbdExtents.Find(image, start, end, isMapped, limit, Name);
    });

    /// <summary>The client that has the image open for writing; null if the image has no owner, or a dead one.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public async Task<RbdOwner?> FindOwnerAsync()
    {
        await using var succession = await Task.Run(() => RbdSuccession.Open(Target));
        return await succession.LookAsync() == SuccessionState.Free ? null : succession.Owner;
    }

    /// <summary>Closes the image after the requests in flight, and releases its lock.</summary>
    public async ValueTask DisposeAsync()
    {
        await _operations.EndAsync();
        nint image = Interlocked.Exchange(ref _image, 0);
        if (image != 0)
        {
            if (_lease is not null)
            {
                await _lease.EndAsync();
                await Task.Run(() => _loss.Reason is null ? LibRbd.ReleaseLock(image) : 0);
                await _lease.DisposeAsync();
            }

            await Task.Run(() => Close(image));
        }
    }

    private async ValueTask FlushCacheAsync()
    {
        bool isDone = false;
        try
        {
            await Rent().Submit(_image, new RbdRequest(RbdRequestKind.Flush, 0, 0), default);
            isDone = true;
        }
        finally
        {
            _cache.EndFlush(isDone);
        }
    }

    private static async Task<RbdImage> OpenFreeAsync(RbdTarget target, bool readOnly, bool caches)
    {
        try
        {
            return await OpenOnceAsync(target, readOnly, caches);
        }
        catch (BlockException e) when (e.Errno == RbdErrors.Shutdown && target.SharesConnection)
        {
            // the client that was joined had been blocklisted because of another image
            return await OpenOnceAsync(target, readOnly, caches);
        }
    }

    private static async Task<RbdImage> OpenOnceAsync(RbdTarget target, bool readOnly, bool caches)
    {
        var image = await Task.Run(() => Open(target, readOnly, caches));
        try
        {
            await image.LockAsync();
            return image;
        }
        catch (Exception e)
        {
            if (e is BlockException { Errno: RbdErrors.Shutdown })
            {
                image._cluster.Retire();
            }

            await image.DisposeAsync();
            throw;
        }
    }

    private static RbdImage Open(RbdTarget target, bool readOnly, bool caches)
    {
        var cluster = RbdCluster.Connect(target, caches, readOnly);
        nint handle = 0;
        try
        {
            int opened = readOnly ? LibRbd.OpenReadOnly(cluster.Pool, target.Image, out handle, target.Snapshot)
                : LibRbd.Open(cluster.Pool, target.Image, out handle, null);
            RbdErrors.Check(opened, $"error reading header from {target.Spec}", RbdErrors.OfImage(target));
            return new RbdImage(cluster, handle, target, readOnly);
        }
        catch (Exception e)
        {
            if (e is BlockException { Errno: RbdErrors.Shutdown })
            {
                cluster.Retire();
            }

            _ = handle != 0 ? LibRbd.Close(handle) : 0;
            cluster.Dispose();
            throw;
        }
    }

    private async Task LockAsync()
    {
        if (!_isLocked)
        {
            return;
        }

        var exclusive = new RbdLock(_cluster, _image, Name);
        var (self, isTakenOver) = await exclusive.AcquireAsync(_cluster.ClientId, Name);
        _lease = await RbdLease.BeginAsync(_cluster, RbdLock.IdOf(_image), self, isTakenOver, _loss);
        _ = _loss.Lost.ContinueWith(
            static (_, cluster) => ((RbdCluster)cluster!).Retire(), _cluster, CancellationToken.None, TaskContinuationOptions.None,
            TaskScheduler.Default);
    }

    private static void Create(RbdTarget target, long length, long? objectSize)
    {
        using var cluster = RbdCluster.Connect(target, caches: false, isReader: true);
        LibRbd.CreateOptions(out nint options);
        try
        {
            if (objectSize is { } bytes)
            {
                RbdErrors.Check(LibRbd.SetOption(options, LibRbd.OptionOrder, (ulong)long.Log2(bytes)), "cannot set the size of objects");
            }

            int created = LibRbd.Create(cluster.Pool, target.Image, (ulong)length, options);
            RbdErrors.Check(created, $"error rbd create of {target.Spec}", RbdErrors.OfNewImage(target));
        }
        finally
        {
            LibRbd.DestroyOptions(options);
        }
    }

    private void Close(nint image)
    {
        bool isLost = _loss.Reason is not null;
        int closed = LibRbd.Close(image);
        _cluster.Dispose();

        // what could not be written any more was reported by flushes
        RbdErrors.Check(isLost ? 0 : closed, $"closing '{Name}'");
    }

    // a call that waits for the cluster
    private async Task<T> CallAsync<T>(Func<nint, T> call)
    {
        _loss.ThrowIfLost();
        _operations.Enter();
        try
        {
            return await Task.Run(() => call(_image));
        }
        finally
        {
            _operations.Complete();
        }
    }

    private RbdOperation Rent()
    {
        _loss.ThrowIfLost();
        return _operations.Rent();
    }

    private ValueTask RangeAsync(RbdRequestKind kind, long offset, long length)
        => length <= MaxRequest ? Rent().Submit(_image, new RbdRequest(kind, offset, length), default) : PiecesAsync(kind, offset, length);

    private async ValueTask PiecesAsync(RbdRequestKind kind, long offset, long length)
    {
        for (long end = offset + length; offset < end; offset += MaxRequest)
        {
            await RangeAsync(kind, offset, Math.Min(MaxRequest, end - offset));
        }
    }
}
