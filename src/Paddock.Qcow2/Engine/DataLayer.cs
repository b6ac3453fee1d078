using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where guest data lie: in the image's own file, between its tables, or in an external data file, at their guest offsets;
/// encrypted or not. Nothing else of the engine reads or writes guest data.
/// </summary>
internal sealed class DataLayer
{
    private const string WriteEvent = "write_aio";

    private readonly IStorage _image;
    private readonly IStorage _storage;
    private readonly MetadataGuard? _guard;
    private readonly ImageHeader? _rawDisk;
    private readonly bool _passDiscards;
    private readonly DataCipher? _cipher;

    /// <param name="image">The image's file, which is told of each step for fault rules.</param>
    /// <param name="guard">Keeps data off the tables in that file.</param>
    /// <param name="cipher">Encrypts the data; null: they are stored as they are.</param>
    public DataLayer(IStorage image, MetadataGuard guard, DataCipher? cipher = null)
    {
        _cipher = cipher;
        _image = image;
        _storage = image;
        _guard = guard;
    }

    /// <param name="image">The image's file, which is told of each step for fault rules.</param>
    /// <param name="external">The external data file.</param>
    /// <param name="header">The image's.</param>
    /// <param name="passDiscards">Whether discarded data become holes.</param>
    /// <param name="cipher">Encrypts the data; null: they are stored as they are.</param>
    public DataLayer(IStorage image, ExternalData external, ImageHeader header, bool passDiscards, DataCipher? cipher = null)
    {
        _cipher = cipher;
        _image = image;
        _storage = external.Storage;
        _rawDisk = external.IsRaw ? header : null;
        _passDiscards = passDiscards;
        IsExternal = true;
    }

    /// <summary>Whether the data are in a file of their own.</summary>
    public bool IsExternal { get; }

    /// <summary>Whether zeroes have to be written as any other data: a hole does not decrypt to zeroes.</summary>
    public bool IsEncrypted => _cipher is not null;

    /// <summary>Whether that file must read as the disk does.</summary>
    public bool IsRaw => _rawDisk is not null;

    /// <summary>What holds the data.</summary>
    public IStorage Storage => _storage;

    /// <summary>Reads data.</summary>
    public ValueTask ReadAsync(HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var told = _image.OnEventAsync("read_aio");
        return !told.IsCompletedSuccessfully ? ReadAsync(told, host, guest, buffer, cancellationToken)
            : _cipher is null ? _storage.ReadAsync(host.Value, buffer, cancellationToken)
            : _cipher.ReadAsync(_storage, host, guest, buffer, cancellationToken);
    }

    /// <summary>Writes data, which must not hit metadata.</summary>
    public ValueTask WriteAsync(HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        var checking = _guard is null ? ValueTask.CompletedTask : _guard.CheckAsync(host, data.Length);
        if (!checking.IsCompletedSuccessfully)
        {
            return WriteAfterAsync(checking, host, guest, data, cancellationToken);
        }

        var told = _image.OnEventAsync(WriteEvent);
        return told.IsCompletedSuccessfully ? WriteNowAsync(host, guest, data, cancellationToken)
            : WriteToldAsync(told, host, guest, data, cancellationToken);
    }

    /// <summary>
    /// Makes a range of data read as zeroes; with <see cref="ZeroFlags.MayUnmap"/> by a hole where the storage can make one.
    /// </summary>
    public async ValueTask ZeroAsync(HostOffset host, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        if (_guard is not null)
        {
            await _guard.CheckAsync(host, length);
        }

        length = IsRaw ? InDisk(host, length) : length;
        if (length > 0)
        {
            await _storage.WriteZeroesAsync(host.Value, length, flags, cancellationToken);
        }
    }

    /// <summary>Takes space for data that are written later. What the range reads as does not matter.</summary>
    public async ValueTask ReserveAsync(HostOffset host, long length)
    {
        if (_guard is not null)
        {
            await _guard.CheckAsync(host, length);
        }

        length = IsRaw ? InDisk(host, length) : length;
        if (length > 0 && !await _storage.ReserveAsync(host.Value, length, grows: true))
        {
            await _storage.WriteZeroesAsync(host.Value, length, ZeroFlags.None);
        }
    }

    /// <summary>Takes space for clusters that are allocated ahead of any data. They read as zeroes.</summary>
    /// <param name="host">Where they begin.</param>
    /// <param name="length">Their length.</param>
    /// <param name="end">The end of the disk, which may be inside them.</param>
    /// <param name="knownZero">Whether they read as zeroes already.</param>
    /// <param name="preallocation">How much space they take.</param>
    /// <remarks>What a raw data file holds there already is the disk's, and stays.</remarks>
    public ValueTask PreallocateAsync(HostOffset host, long length, GuestOffset end, bool knownZero, Preallocation preallocation)
    {
        if (!IsExternal)
        {
            return SpaceReservation.ReserveAsync(_storage, host, length, knownZero, preallocation);
        }

        length = Math.Min(length, end.Value - host.Value);
        return !IsRaw ? SpaceReservation.ReserveAsync(_storage, host, length, knownZero, preallocation)
            : host.Value + length > _storage.Length ? _storage.SetLengthAsync(host.Value + length, preallocation)
            : default;
    }

    /// <summary>Frees the space of data in an external file that no entry refers to any more.</summary>
    public async ValueTask DiscardAsync(HostOffset host, long length)
    {
        if (!IsExternal || !_passDiscards)
        {
            return;
        }

        try
        {
            await _storage.DiscardAsync(host.Value, Math.Min(length, _storage.Length - host.Value));
        }
        catch (BlockException)
        {
            // nothing refers to the data all the same; only their space stays taken
        }
    }

    /// <summary>Throws if a flush failed and may have lost data.</summary>
    public void ThrowIfFlushFailed() => _storage.ThrowIfFlushFailed();

    // what lies behind the end of the disk is no part of it, and a raw file must not have it
    private long InDisk(HostOffset host, long length) => Math.Clamp(_rawDisk!.VirtualSize - host.Value, 0, length);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ValueTask WriteNowAsync(
        HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        data = IsRaw ? data[..(int)InDisk(host, data.Length)] : data;
        return _cipher is null ? _storage.WriteAsync(host.Value, data, cancellationToken)
            : _cipher.WriteAsync(_storage, host, guest, data, cancellationToken);
    }

    private async ValueTask WriteToldAsync(
        ValueTask told, HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await told;
        await WriteNowAsync(host, guest, data, cancellationToken);
    }

    private async ValueTask WriteAfterAsync(
        ValueTask checking, HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await checking;
        await WriteToldAsync(_image.OnEventAsync(WriteEvent), host, guest, data, cancellationToken);
    }

    private async ValueTask ReadAsync(
        ValueTask told, HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await told;
        await (_cipher is null ? _storage.ReadAsync(host.Value, buffer, cancellationToken)
            : _cipher.ReadAsync(_storage, host, guest, buffer, cancellationToken));
    }
}
