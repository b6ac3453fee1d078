using Paddock.Block;
using Paddock.Crypto.Ciphers;
using Paddock.Crypto.Luks;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>A LUKS disk: a header, or one in another file, and after it the encrypted data.</summary>
/// <param name="volume">The header.</param>
/// <param name="storage">The file with the data; owned.</param>
/// <param name="header">The file with the header; null: the same. Owned.</param>
/// <param name="key">The key of the disk; null: only its information can be used.</param>
/// <param name="isReadOnly">True to take no changes.</param>
internal sealed class LuksDevice(LuksVolume volume, IStorage storage, IStorage? header, byte[]? key, bool isReadOnly) : IBlockDevice
{
    private static readonly byte[] Zeroes = new byte[1 << 20];

    private readonly SectorTransfer? _transfer = key is null ? null : new SectorTransfer(SectorCipher.Create(volume.Header.Cipher, key));

    public long Length => storage.Length - Start is var length and >= 0 ? (length + 511) & -512
        : throw new BlockException(
            BlockError.Io, $"'{storage.Name}' ends at {storage.Length}, before the data of its LUKS header begin ({Start})");

    public bool IsReadOnly => isReadOnly || storage.IsReadOnly;

    public BlockLimits Limits => BlockLimits.Bytes;

    public IBlockDevice? Backing => null;

    public IZones? Zones => null;

    public IRangeCopy? RangeCopy => null;

    public IUnreadableRanges? UnreadableRanges => null;

    /// <summary>The header.</summary>
    public LuksVolume Volume => volume;

    private long Start => volume.Header.PayloadOffset;

    private SectorTransfer Transfer => _transfer ?? throw new PassphraseRequiredException("LUKS");

    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await storage.OnEventAsync("read_aio");
        await Transfer.ReadAsync(storage, Start + offset, offset, buffer, cancellationToken);
    }

    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        storage.ThrowIfFlushFailed();
        await storage.OnEventAsync("write_aio");
        await Transfer.WriteAsync(storage, Start + offset, offset, data, cancellationToken);
        if ((flags & WriteFlags.Fua) != 0)
        {
            await storage.FlushAsync(cancellationToken);
        }
    }

    // a hole would not decrypt to zeroes
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw new BlockException(BlockError.NotSupported, "an encrypted disk can be zeroed only by writing");
        }

        for (long done = 0; done < length;)
        {
            int count = (int)Math.Min(length - done, Zeroes.Length);
            await WriteAsync(offset + done, Zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
            done += count;
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await storage.FlushAsync(cancellationToken);
        }
    }

    // which sectors are in use stays hidden, and contents are kept
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => default;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => storage.FlushAsync(cancellationToken);

    public void ThrowIfFlushFailed() => storage.ThrowIfFlushFailed();

    public async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length > long.MaxValue - Start)
        {
            throw new BlockException(BlockError.TooLarge, "The requested file size is too large");
        }

        long old = Length;
        await storage.SetLengthAsync(Start + length, preallocation, cancellationToken);
        if (length > old && _transfer is not null)
        {
            await WriteZeroesAsync(old, length - old, ZeroFlags.None, cancellationToken);
        }
    }

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        length = Math.Min(length, Length - offset);
        var flags = BlockStatusFlags.Data | BlockStatusFlags.Allocated
            | (offset + length == Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None);
        return new(new BlockStatus(length, flags));
    }

    public async ValueTask DisposeAsync()
    {
        await storage.DisposeAsync();
        if (header is not null)
        {
            await header.DisposeAsync();
        }
    }
}
