using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nbd.Client;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd;

/// <summary>
/// A disk at an NBD server. Requests above the server's limit are split; commands that the server lacks are emulated where that is
/// possible. After a lost connection requests are resent on a new one, subject to <see cref="NbdTarget.ReconnectDelay"/>.
/// </summary>
public sealed class NbdClient : IBlockDevice
{
    private const BlockStatusFlags Here = BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid;

    // longest range of a request without a payload if lengths have 32 bits; a multiple of any block size
    private const long MaxCompactRange = 1L << 30;

    private static readonly byte[] Zeroes = new byte[1 << 20];

    private readonly NbdTarget _target;
    private readonly NbdExportInfo _info;
    private readonly AsyncMutex _connecting = new();
    private readonly CancellationTokenSource _closed = new();
    private volatile ClientConnection _connection;
    private long _length;

    // smallest valid size after a reconnect; lower during a shrink, whose reply may be lost
    private long _least;
    private int _failures;
    private bool _disposed;

    // the connection that acknowledged the oldest write that no flush covers (first)
    // or that the current flush covers (second); 0: no such write
    private int _unflushed, _beingFlushed;
    private readonly AsyncMutex _flushing = new();
    private readonly FlushFailure _flushFailure;

    private NbdClient(NbdTarget target, ClientConnection connection)
    {
        _target = target;
        _connection = connection;
        _info = connection.Info;
        _length = _least = _info.Size;
        _flushFailure = new FlushFailure(target.ToString());
    }

    /// <summary>Address of the export.</summary>
    public NbdTarget Target => _target;

    /// <summary>Whether the server reports block status in the context that the target names.</summary>
    internal bool HasStatus => _connection.HasStatus;

    /// <summary>Export information from the server.</summary>
    public NbdExportInfo Info => _info;

    /// <inheritdoc/>
    public long Length => Volatile.Read(ref _length);

    /// <summary>Whether the server offers the RESIZE extension.</summary>
    public bool CanResize => Can(TransmissionFlags.SendResize) && !IsReadOnly;

    /// <inheritdoc/>
    public bool IsReadOnly => Can(TransmissionFlags.ReadOnly);

    /// <inheritdoc/>
    public BlockLimits Limits => new((int)_info.MinimumBlock, int.MaxValue & ~65535, 0);

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => null;

    /// <summary>Connects to an export.</summary>
    /// <exception cref="BlockException">The server cannot be reached, or rejects the client.</exception>
    public static async ValueTask<NbdClient> ConnectAsync(NbdTarget target, CancellationToken cancellationToken = default)
        => new(target, await ClientConnecting.OpenAsync(target, target.OpenTimeout, cancellationToken));

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _flushFailure.ThrowIfFailed();

    /// <summary>Lists the exports of a server.</summary>
    /// <exception cref="BlockException">The server cannot be reached, or rejects the request.</exception>
    public static async Task<IReadOnlyList<NbdExportInfo>> ListAsync(NbdTarget target)
        => await Task.Run(() => ClientConnection.List(target));

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => buffer.Length == 0 ? default
            : buffer.Length <= _info.MaximumPayload
                ? AskAsync(new NbdRequest(0, NbdCommand.Read, 0, (ulong)offset, (ulong)buffer.Length), buffer, default)
                : ReadLongAsync(offset, buffer);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => data.Length == 0 ? default
            : data.Length <= _info.MaximumPayload && ((flags & WriteFlags.Fua) == 0 || Can(TransmissionFlags.SendFua))
                ? AskAsync(new NbdRequest(Fua((flags & WriteFlags.Fua) != 0), NbdCommand.Write, 0, (ulong)offset, (ulong)data.Length),
                default, data)
                : WriteLongAsync(offset, data, flags);

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        bool durable = (flags & ZeroFlags.Fua) != 0, fast = (flags & ZeroFlags.NoFallback) != 0;
        if (!Can(TransmissionFlags.SendWriteZeroes) || (fast && !Can(TransmissionFlags.SendFastZero)))
        {
            if (fast)
            {
                throw new BlockException(BlockError.NotSupported, "the NBD server cannot write zeroes fast");
            }

            for (long done = 0; done < length;)
            {
                int count = (int)Math.Min(Math.Min(Zeroes.Length, _info.MaximumPayload), length - done);
                await WriteAsync(offset + done, Zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
                done += count;
            }
        }
        else
        {
            var how = ((flags & ZeroFlags.MayUnmap) == 0 ? CommandFlags.NoHole : 0) | (fast ? CommandFlags.FastZero : 0);
            how |= Fua(durable && Can(TransmissionFlags.SendFua));
            await RangeAsync(NbdCommand.WriteZeroes, how, offset, length);
            durable &= !Can(TransmissionFlags.SendFua);
        }

        if (durable)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        _flushFailure.ThrowIfFailed();
        return Can(TransmissionFlags.SendTrim) ? RangeAsync(NbdCommand.Trim, 0, offset, length) : default;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// A flush fails, as does every later one, if the server failed it or the connection was lost after acknowledged writes: the server may
    /// have lost them. NBD has no way to detect whether the same server, with the same cache, is on the new connection.
    /// </remarks>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (IsReadOnly)
        {
            return;
        }

        // one at a time: a second must not succeed while the first detects that writes may be lost
        await _flushing.AcquireAsync();
        try
        {
            _flushFailure.ThrowIfFailed();
            int newer = Interlocked.Exchange(ref _unflushed, 0);
            _beingFlushed = _beingFlushed != 0 ? _beingFlushed : newer;
            int flushed = Can(TransmissionFlags.SendFlush) ? await AskFlushAsync() : _beingFlushed;
            if (_beingFlushed != 0 && _beingFlushed != flushed)
            {
                throw _flushFailure.Record(new BlockException(
                    BlockError.Io,
                    "the connection was lost, and with it perhaps writes that the server had acknowledged and no flush had followed"));
            }

            // only after success: a failed flush must keep it
            _beingFlushed = 0;
        }
        finally
        {
            _flushing.Release();
        }
    }

    /// <inheritdoc/>
    /// <remarks>Uses the experimental RESIZE extension; the size is a multiple of 512 and of the server's minimum block.</remarks>
    public async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length == Length)
        {
            return;
        }

        if (!CanResize || preallocation != Preallocation.Off)
        {
            throw new BlockException(BlockError.NotSupported, CanResize
                ? "Cannot resize NBD nodes: the server cannot be asked for preallocation"
                : "Cannot resize NBD nodes: the server does not offer it");
        }

        long before = Length;
        Volatile.Write(ref _least, Math.Min(length, before));
        try
        {
            await AskAsync(new NbdRequest(0, NbdCommand.Resize, 0, (ulong)length, 0), default, default);
        }
        catch (BlockException e) when (e.Errno != 0)
        {
            // the server replied, so the size is unchanged
            Volatile.Write(ref _least, before);
            throw;
        }

        Volatile.Write(ref _length, length);
        Volatile.Write(ref _least, length);
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var end = offset + length == Length ? BlockStatusFlags.EndOfDevice : 0;
        if (length == 0 || !_connection.HasStatus)
        {
            return new BlockStatus(length, BlockStatusFlags.Data | Here | end, offset);
        }

        // requests must be aligned to the server's minimum block
        long unit = _info.MinimumBlock, from = offset / unit * unit;
        long most = _info.Form == HeaderForm.Extended ? long.MaxValue : MaxCompactRange;
        ulong asked = (ulong)Math.Min(Math.Min((offset + length - from + unit - 1) / unit * unit, Length - from), most);
        var request = new NbdRequest(CommandFlags.RequestOne, NbdCommand.BlockStatus, 0, (ulong)from, asked);
        var status = await AskStatusAsync(request);
        long run = Math.Min((long)Math.Min(status.Length, asked) - (offset - from), length);
        if (run <= 0)
        {
            throw new BlockException(BlockError.Io, "the NBD server returned no status for the requested range");
        }

        var flags = FlagsOf(status.Flags, _target.StatusContext);
        return new BlockStatus(run, offset + run == Length ? flags | BlockStatusFlags.EndOfDevice : flags, offset);
    }

    /// <summary>Flags of a range from those of its extent.</summary>
    /// <param name="extent">Flags of the extent; unknown ones are ignored.</param>
    /// <param name="context">Context that the extent is from; null for base:allocation.</param>
    internal static BlockStatusFlags FlagsOf(ulong extent, string? context)
    {
        // depths from 2 on all mean a backing image
        extent = context == MetaContexts.Depth && extent > 2 ? 2 : extent;
        var hole = context is null ? Here : BlockStatusFlags.None;
        var flags = (extent & (ulong)AllocationFlags.Hole) == 0 ? BlockStatusFlags.Data | Here : hole;
        return (extent & (ulong)AllocationFlags.Zero) != 0 ? flags | BlockStatusFlags.Zero : flags;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        await _closed.CancelAsync();
        await _connecting.AcquireAsync();
        try
        {
            await Task.Run(_connection.Dispose);
        }
        finally
        {
            _connecting.Release();
        }

        _closed.Dispose();
    }

    private static CommandFlags Fua(bool durable) => durable ? CommandFlags.Fua : 0;

    private bool Can(TransmissionFlags flag) => (_info.Can & flag) != 0;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AskAsync(NbdRequest request, Memory<byte> buffer, ReadOnlyMemory<byte> data)
    {
        bool changes = request.Command is NbdCommand.Write or NbdCommand.WriteZeroes;
        if (changes)
        {
            _flushFailure.ThrowIfFailed();
        }

        for (var connection = _connection; ;)
        {
            try
            {
                await connection.AskAsync(request, buffer, data);
                if (changes && (request.Flags & CommandFlags.Fua) == 0 && Volatile.Read(ref _unflushed) == 0)
                {
                    Interlocked.CompareExchange(ref _unflushed, connection.Number, 0);
                }

                return;
            }
            catch (ConnectionLostException e)
            {
                connection = await ReconnectAsync(connection, e);
            }
        }
    }

    // returns the number of the connection that was flushed
    private async ValueTask<int> AskFlushAsync()
    {
        for (var connection = _connection; ;)
        {
            try
            {
                await connection.AskAsync(new NbdRequest(0, NbdCommand.Flush, 0, 0, 0), default, default);
                return connection.Number;
            }
            catch (ConnectionLostException e)
            {
                connection = await ReconnectAsync(connection, e);
            }
            catch (BlockException e) when (e.Errno is not (0 or (int)NbdError.Shutdown))
            {
                // the server tried and failed; one that is shutting down has not tried
                throw _flushFailure.Record(e);
            }
        }
    }

    private async ValueTask<BlockStatusExtent> AskStatusAsync(NbdRequest request)
    {
        for (var connection = _connection; ;)
        {
            try
            {
                return await connection.AskStatusAsync(request);
            }
            catch (ConnectionLostException e)
            {
                connection = await ReconnectAsync(connection, e);
            }
        }
    }

    // one caller connects; the others wait and use its connection
    private async ValueTask<ClientConnection> ReconnectAsync(ClientConnection lost, ConnectionLostException why)
    {
        int failures = Volatile.Read(ref _failures);
        await _connecting.AcquireAsync();
        try
        {
            if (_failures != failures)
            {
                // the caller that reconnected has failed for all
                throw new BlockException(BlockError.Io, why.Message, why);
            }

            if (_connection != lost && !_connection.IsLost)
            {
                return _connection;
            }

            if (_target.ReconnectDelay <= TimeSpan.Zero || _disposed)
            {
                throw new BlockException(BlockError.Io, why.Message, why);
            }

            var found = await ClientConnecting.OpenAsync(_target, _target.ReconnectDelay, _closed.Token);
            if (found.Info.Size < Volatile.Read(ref _least) || found.Info.Flags != _info.Flags || found.Info.Headers != _info.Headers
                || found.Info.MinimumBlock > _info.MinimumBlock || found.Info.MaximumPayload < _info.MaximumPayload)
            {
                found.Dispose();
                throw new BlockException(BlockError.Io, "the NBD server came back with another export");
            }

            // the export may have grown in the meantime
            Volatile.Write(ref _length, found.Info.Size);
            Volatile.Write(ref _least, found.Info.Size);
            await Task.Run(_connection.Dispose);

            // based on the current connection, not on the caller's, which may be older
            found.Number = _connection.Number + 1;
            return _connection = found;
        }
        catch (OperationCanceledException e)
        {
            throw new BlockException(BlockError.Cancelled, "the NBD client was closed", e);
        }
        catch (BlockException)
        {
            _failures++;
            throw;
        }
        finally
        {
            _connecting.Release();
        }
    }

    private async ValueTask RangeAsync(NbdCommand command, CommandFlags flags, long offset, long length)
    {
        long most = _info.Form == HeaderForm.Extended ? long.MaxValue : MaxCompactRange;
        while (length > 0)
        {
            long count = Math.Min(length, most);
            await AskAsync(new NbdRequest(flags, command, 0, (ulong)offset, (ulong)count), default, default);
            offset += count;
            length -= count;
        }
    }

    private async ValueTask ReadLongAsync(long offset, Memory<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int count = (int)Math.Min(buffer.Length, _info.MaximumPayload);
            await AskAsync(new NbdRequest(0, NbdCommand.Read, 0, (ulong)offset, (ulong)count), buffer[..count], default);
            offset += count;
            buffer = buffer[count..];
        }
    }

    private async ValueTask WriteLongAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags)
    {
        while (data.Length > 0)
        {
            int count = (int)Math.Min(data.Length, _info.MaximumPayload);
            await AskAsync(new NbdRequest(0, NbdCommand.Write, 0, (ulong)offset, (ulong)count), default, data[..count]);
            offset += count;
            data = data[count..];
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync();
        }
    }
}
