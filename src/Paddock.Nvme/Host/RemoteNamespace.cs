using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>A namespace of a remote controller as a block device.</summary>
internal class RemoteNamespace(NvmeTcpHost host, uint id, long length, int blockShift, bool readOnly, bool ownsHost) : IBlockDevice
{
    private const uint ForceUnitAccess = 1u << 30;

    // the server's incarnation, plus one, at the oldest acknowledged write
    // that no flush covers (first) or that the current flush covers (second); 0: no such write
    private int _unflushed, _beingFlushed;

    private readonly AsyncMutex _flushing = new();
    private readonly FlushFailure _flushFailure = new(host.NameOf(id));
    private long _length = length;

    /// <inheritdoc/>
    public long Length => Volatile.Read(ref _length);

    /// <summary>The namespace's identifier.</summary>
    public uint Id => id;

    /// <inheritdoc/>
    public bool IsReadOnly => readOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => new(1 << blockShift, int.MaxValue & ~4095, host.MaxTransfer);

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public virtual IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy { get; private set; }

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => null;

    protected int BlockShift => blockShift;

    /// <summary>Largest possible size, in bytes.</summary>
    protected virtual long MaxLength => long.MaxValue;

    public static async ValueTask<IBlockDevice> OpenAsync(NvmeTcpHost host, uint id, bool ownsHost, CancellationToken cancellationToken)
    {
        byte[] page = await host.IdentifyAsync(0x00, id, 0, cancellationToken);
        ulong blocks = BinaryPrimitives.ReadUInt64LittleEndian(page);
        int shift = page[130 + (4 * (page[26] & 0xF))];
        if (blocks == 0 || shift is < 9 or > 16 || blocks > (ulong)(long.MaxValue >> shift))
        {
            throw new BlockException(
                BlockError.NoDevice, $"there is no namespace {id}, or none that can be used: {blocks} blocks of 2^{shift} bytes");
        }

        host.Remember(id, page);
        long length = (long)(blocks << shift);
        bool readOnly = (page[99] & 1) != 0;
        byte[] descriptors = await host.IdentifyAsync(0x03, id, 0, cancellationToken);
        var device = CommandSetOf(descriptors) == IdentifyNamespace.ZonedCommandSet
            ? await OpenZonedAsync(host, id, length, shift, readOnly, ownsHost, cancellationToken)
            : new RemoteNamespace(host, id, length, shift, readOnly, ownsHost);
        int rangeBlocks = BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(74));
        long copyBlocks = BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(76));
        device.RangeCopy = rangeBlocks == 0 || copyBlocks == 0 ? null
            : new RemoteRangeCopy(device, (long)rangeBlocks << shift, copyBlocks << shift, page[80] + 1);

        // an event before the device was registered did not reach it
        host.Follow(device);
        await host.RefreshAsync(id, cancellationToken);
        return device;
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            int count = Math.Min(buffer.Length, host.MaxTransfer);
            Check(await host.RunAsync(Blocks(Opcode.Read, offset, count), default, buffer[..count], cancellationToken), "read", offset, 0);
            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        ThrowIfFlushFailed();
        while (data.Length > 0)
        {
            int count = Math.Min(data.Length, host.MaxTransfer);
            uint fua = (flags & WriteFlags.Fua) != 0 ? ForceUnitAccess : 0;
            var answer = await RunWriteAsync(
                Blocks(Opcode.Write, offset, count, fua), data[..count], offset, count, cancellationToken);
            Check(answer, "write", offset, ZoneOf(offset));
            Acknowledged(answer, fua != 0);
            offset += count;
            data = data[count..];
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        const uint mayDeallocate = 1u << 25;
        ThrowIfFlushFailed();
        while (length > 0)
        {
            int count = (int)Math.Min(length, 65536L << blockShift);
            uint bits = ((flags & ZeroFlags.Fua) != 0 ? ForceUnitAccess : 0) | ((flags & ZeroFlags.MayUnmap) != 0 ? mayDeallocate : 0);
            var answer = await RunWriteAsync(
                Blocks(Opcode.WriteZeroes, offset, count, bits), default, offset, count, cancellationToken);
            Check(answer, "write zeroes", offset, ZoneOf(offset));
            Acknowledged(answer, (flags & ZeroFlags.Fua) != 0);
            offset += count;
            length -= count;
        }
    }

    /// <summary>Runs a Copy command.</summary>
    /// <param name="ranges">Its source ranges, in descriptor format 0.</param>
    /// <param name="count">How many they are.</param>
    /// <param name="offset">First byte that is overwritten.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    internal async ValueTask CopyAsync(
        ReadOnlyMemory<byte> ranges, int count, long offset, long length, CancellationToken cancellationToken)
    {
        ThrowIfFlushFailed();
        var entry = Blocks(Opcode.Copy, offset, 0) with { Dword12 = (uint)(count - 1) };
        var answer = await RunWriteAsync(entry, ranges, offset, (int)Math.Min(length, int.MaxValue), cancellationToken);
        Check(answer, "copy", offset, ZoneOf(offset));
        Acknowledged(answer, isDurable: false);
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        byte[] range = new byte[16];
        ThrowIfFlushFailed();
        while (length > 0)
        {
            uint blocks = (uint)Math.Min(length >> blockShift, uint.MaxValue);
            BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(4), blocks);
            BinaryPrimitives.WriteInt64LittleEndian(range.AsSpan(8), offset >> blockShift);
            var entry = new SubmissionEntry { Opcode = Opcode.DatasetManagement, NamespaceId = id, Dword11 = 4 };
            Check(await host.RunAsync(entry, range, default, cancellationToken), "discard", offset, 0);
            offset += (long)blocks << blockShift;
            length -= (long)blocks << blockShift;
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// A flush that succeeds guarantees that all writes acknowledged before it are durable. If the server has failed one, or was restarted
    /// with acknowledged writes in between, they may be lost, and no later flush can recover them: it and every later one fail until the
    /// namespace is reopened.
    /// </remarks>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        // one at a time: a second flush must not succeed while the first is detecting lost writes
        await _flushing.AcquireAsync();
        try
        {
            await FlushAloneAsync(cancellationToken);
        }
        finally
        {
            _flushing.Release();
        }
    }

    private async ValueTask FlushAloneAsync(CancellationToken cancellationToken)
    {
        ThrowIfFlushFailed();
        int newer = Interlocked.Exchange(ref _unflushed, 0);
        _beingFlushed = _beingFlushed != 0 ? _beingFlushed : newer;
        var answer = await host.RunAsync(
            new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = id }, default, default, cancellationToken);
        try
        {
            Check(answer, "flush", 0, 0);
        }
        catch (BlockException e) when (answer.Status is not (
            NvmeStatus.AbortRequested or NvmeStatus.CommandInterrupted or NvmeStatus.TransientTransportError
            or NvmeStatus.NamespaceNotReady))
        {
            // the controller has tried and failed; with the other answers it has not tried
            throw _flushFailure.Record(e);
        }

        if (_beingFlushed != 0 && _beingFlushed != answer.Incarnation + 1)
        {
            throw _flushFailure.Record(new BlockException(
                BlockError.Io,
                "the server was started again after a lost connection: writes that it had acknowledged and no flush had followed may be "
                    + "lost"));
        }

        // after success, never before: a flush that fails leaves the note
        _beingFlushed = 0;
    }

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "a remote namespace cannot be resized");

    /// <inheritdoc/>
    public virtual ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(new BlockStatus(
            Math.Min(length, Length - offset),
            BlockStatusFlags.Data | BlockStatusFlags.Allocated | (offset + length >= Length ? BlockStatusFlags.EndOfDevice : 0)));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        host.Forget(this);
        if (ownsHost)
        {
            await host.DisposeAsync();
        }
    }

    /// <summary>Sets the number of blocks.</summary>
    /// <returns>Whether the number changed.</returns>
    internal bool TakeSize(ulong blocks)
    {
        long now = blocks > (ulong)(MaxLength >> blockShift) ? Length : (long)(blocks << blockShift);
        return Interlocked.Exchange(ref _length, now) != now;
    }

    /// <summary>Runs a command that writes at an offset.</summary>
    protected virtual ValueTask<HostAnswer> RunWriteAsync(
        SubmissionEntry entry, ReadOnlyMemory<byte> data, long offset, int length, CancellationToken cancellationToken)
        => host.RunAsync(entry, data, default, cancellationToken);

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _flushFailure.ThrowIfFailed();

    /// <summary>Notes that a write was acknowledged which the server may keep in a volatile cache.</summary>
    protected void Acknowledged(in HostAnswer answer, bool isDurable)
    {
        if (Volatile.Read(ref _unflushed) == 0 && !isDurable && host.HasWriteCache)
        {
            Interlocked.CompareExchange(ref _unflushed, answer.Incarnation + 1, 0);
        }
    }

    /// <summary>The zone of an offset, for messages.</summary>
    protected virtual int ZoneOf(long offset) => 0;

    protected SubmissionEntry Blocks(byte opcode, long offset, int length, uint bits = 0)
    {
        ulong lba = (ulong)(offset >> blockShift);
        return new SubmissionEntry
        {
            Opcode = opcode,
            NamespaceId = id,
            Dword10 = (uint)lba,
            Dword11 = (uint)(lba >> 32),
            Dword12 = (uint)((length >> blockShift) - 1) | bits,
        };
    }

    protected static void Check(in HostAnswer answer, string what, long offset, int zone)
    {
        if (answer.Status == NvmeStatus.Success)
        {
            return;
        }

        string message = $"{what} at {offset}: the controller says {answer.Status} ({(int)answer.Status:x3}h)";
        throw answer.Status switch
        {
            NvmeStatus.ZoneInvalidWrite => new ZoneException(ZoneError.NotAtWritePointer, zone, message),
            NvmeStatus.ZoneBoundaryError => new ZoneException(ZoneError.BoundaryCrossed, zone, message),
            NvmeStatus.ZoneIsFull => new ZoneException(ZoneError.Full, zone, message),
            NvmeStatus.ZoneIsReadOnly => new ZoneException(ZoneError.ReadOnly, zone, message),
            NvmeStatus.ZoneIsOffline => new ZoneException(ZoneError.Offline, zone, message),
            NvmeStatus.TooManyActiveZones => new ZoneException(ZoneError.TooManyActive, zone, message),
            NvmeStatus.TooManyOpenZones => new ZoneException(ZoneError.TooManyOpen, zone, message),
            NvmeStatus.InvalidZoneStateTransition => new ZoneException(ZoneError.InvalidTransition, zone, message),
            NvmeStatus.InvalidZoneOperation => new ZoneException(ZoneError.InvalidZoneOperation, zone, message),
            NvmeStatus.RandomAreaUnavailable => new ZoneException(ZoneError.TooManyRandomAreas, zone, message),
            NvmeStatus.CapacityExceeded => new BlockException(BlockError.NoSpace, message),
            NvmeStatus.NamespaceWriteProtected => new BlockException(BlockError.ReadOnly, message),
            NvmeStatus.AccessDenied => new BlockException(BlockError.NotPermitted, message),
            NvmeStatus.UnrecoveredReadError => new BlockException(BlockError.Unreadable, message),
            NvmeStatus.InvalidField or NvmeStatus.LbaOutOfRange => new BlockException(BlockError.InvalidArgument, message),
            _ => new BlockException(BlockError.Io, message),
        };
    }

    private static byte CommandSetOf(ReadOnlySpan<byte> descriptors)
    {
        const byte commandSet = 4;
        while (descriptors.Length >= 4 && descriptors[0] != 0)
        {
            int length = descriptors[1];
            if (descriptors[0] == commandSet && descriptors.Length > 4)
            {
                return descriptors[4];
            }

            descriptors = descriptors[Math.Min(descriptors.Length, 4 + length)..];
        }

        return 0;
    }

    private static async ValueTask<RemoteNamespace> OpenZonedAsync(
        NvmeTcpHost host, uint id, long length, int shift, bool readOnly, bool ownsHost, CancellationToken cancellationToken)
    {
        byte[] page = await host.IdentifyAsync(0x05, id, IdentifyNamespace.ZonedCommandSet, cancellationToken);
        long zoneSize = BinaryPrimitives.ReadInt64LittleEndian(page.AsSpan(2816)) << shift;
        long count = zoneSize <= 0 ? 0 : (length + zoneSize - 1) / zoneSize;
        if (count is 0 or > int.MaxValue)
        {
            throw new BlockException(BlockError.NoDevice, $"namespace {id} has zones of {zoneSize} bytes, which cannot be used");
        }

        uint maxActive = BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(4))
            + 1, maxOpen = BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(8)) + 1;
        var limits = new ZonedLimits(zoneSize, zoneSize, (int)count, 0, maxOpen, maxActive, (uint)host.MaxAppend)
        {
            RandomArea = RandomAreaFields.Read(page, shift),
        };
        var device = new RemoteZonedNamespace(host, id, length, shift, readOnly, ownsHost, limits);
        var first = new ZoneDescriptor[1];
        return await device.ReportAsync(0, first, cancellationToken) == 1
            ? new RemoteZonedNamespace(host, id, length, shift, readOnly, ownsHost, limits with { ZoneCapacity = first[0].Capacity })
            : throw new BlockException(BlockError.NoDevice, $"namespace {id} reports no zones");
    }
}
