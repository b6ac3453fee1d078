namespace Paddock.Block;

/// <summary>A disk whose bytes are those of a storage, one to one: the raw format.</summary>
public sealed class RawDevice : IBlockDevice
{
    private const long SectorSize = 512;

    private readonly IStorage _storage;
    private readonly long _hostStart;

    /// <param name="storage">The bytes; owned by the device.</param>
    /// <param name="readOnly">True to reject changes even if the storage accepts them.</param>
    /// <param name="hostStart">
    /// Where the storage's first byte lies in what is under it, for the block status; negative if only the storage knows.
    /// </param>
    public RawDevice(IStorage storage, bool readOnly = false, long hostStart = 0)
    {
        _hostStart = hostStart;
        _storage = storage;
        IsReadOnly = readOnly || storage.IsReadOnly;
    }

    /// <summary>Bytes, rounded up to whole sectors: a disk has no part of one. The missing bytes of a file read as zeroes.</summary>
    public long Length => (_storage.Length + SectorSize - 1) & -SectorSize;

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public BlockLimits Limits => BlockLimits.Bytes;

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => null;

    /// <summary>The bytes.</summary>
    public IStorage Storage => _storage;

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var told = _storage.OnEventAsync("read_aio");
        return told.IsCompletedSuccessfully
            ? _storage.ReadAsync(offset, buffer, cancellationToken)
            : ReadAsync(told, offset, buffer, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        _storage.ThrowIfFlushFailed();
        var told = _storage.OnEventAsync("write_aio");
        return told.IsCompletedSuccessfully && (flags & WriteFlags.Fua) == 0
            ? _storage.WriteAsync(offset, data, cancellationToken)
            : WriteAsync(told, offset, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        _storage.ThrowIfFlushFailed();
        await _storage.WriteZeroesAsync(offset, length, flags, cancellationToken);
        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        _storage.ThrowIfFlushFailed();
        return _storage.DiscardAsync(offset, length, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        var told = _storage.OnEventAsync("flush_to_os");
        if (!told.IsCompletedSuccessfully)
        {
            return FlushAsync(told, isLast: false, cancellationToken);
        }

        told = _storage.OnEventAsync("flush_to_disk");
        return told.IsCompletedSuccessfully
            ? _storage.FlushAsync(cancellationToken) : FlushAsync(told, isLast: true, cancellationToken);
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _storage.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        _storage.ThrowIfFlushFailed();
        return _storage.SetLengthAsync(length, preallocation, cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var status = await _storage.GetStatusAsync(offset, length, cancellationToken);
        if (offset + status.Length == _storage.Length)
        {
            // the rest of the last sector goes with what is before it
            status = status with { Length = Math.Min(length, Length - offset) };
        }

        status = status with { Flags = status.Flags | BlockStatusFlags.Allocated };

        // a storage that is a disk itself knows where its bytes lie
        return _hostStart < 0 || (status.Flags & BlockStatusFlags.OffsetValid) != 0 ? status
            : status with { Flags = status.Flags | BlockStatusFlags.OffsetValid, HostOffset = _hostStart + offset };
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _storage.DisposeAsync();

    private async ValueTask FlushAsync(ValueTask told, bool isLast, CancellationToken cancellationToken)
    {
        await told;
        if (!isLast)
        {
            await _storage.OnEventAsync("flush_to_disk");
        }

        await _storage.FlushAsync(cancellationToken);
    }

    private async ValueTask ReadAsync(ValueTask told, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await told;
        await _storage.ReadAsync(offset, buffer, cancellationToken);
    }

    private async ValueTask WriteAsync(
        ValueTask told, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        await told;
        await _storage.WriteAsync(offset, data, cancellationToken);
        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }
}
