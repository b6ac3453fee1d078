using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>
/// An open LUKS header: finds the key of the disk with a passphrase, and stores it under other passphrases. Not to be used by two callers
/// at once.
/// </summary>
internal sealed class LuksVolume
{
    /// <summary>
    /// PBKDF2 iterations that one passphrase may cost, over all slots: a header may not keep a program busy for more than minutes.
    /// </summary>
    public const long MaxWork = 1L << 28;

    private readonly LuksArea _area;
    private readonly long _maxWork;

    internal LuksVolume(LuksArea area, LuksHeader header, bool isDetached = false, long maxWork = MaxWork)
    {
        _area = area;
        _maxWork = maxWork;
        Header = header;
        IsDetached = isDetached;
    }

    /// <summary>The header as it is on the storage.</summary>
    public LuksHeader Header { get; private set; }

    /// <summary>Whether the data are in another file than the header.</summary>
    public bool IsDetached { get; }

    /// <summary>Reads and validates a header.</summary>
    /// <exception cref="BlockException">Not a LUKS header, or one that is not supported.</exception>
    public static async ValueTask<LuksVolume> OpenAsync(
        LuksArea area, bool isDetached = false, long maxWork = MaxWork, CancellationToken cancellationToken = default)
    {
        var bytes = new byte[LuksHeader.Size];
        await area.ReadAsync(0, bytes, cancellationToken);
        return new LuksVolume(area, LuksHeader.Parse(bytes, isDetached), isDetached, maxWork);
    }

    /// <summary>Finds the key of the disk.</summary>
    /// <param name="passphrase">The passphrase of any slot.</param>
    /// <param name="cancellationToken">Stops between two slots.</param>
    /// <exception cref="BlockException">The passphrase opens no slot, or trying it would take too many iterations.</exception>
    public async ValueTask<byte[]> UnlockAsync(ReadOnlyMemory<byte> passphrase, CancellationToken cancellationToken = default)
    {
        CheckWork();
        for (int i = 0; i < LuksHeader.SlotCount; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (await TryUnlockAsync(i, passphrase, cancellationToken) is { } key)
            {
                return key;
            }
        }

        throw new BlockException(BlockError.NotPermitted, "Invalid password, cannot unlock any keyslot");
    }

    /// <summary>Tries a passphrase on one slot.</summary>
    /// <returns>The key of the disk; null if the slot is inactive or has another passphrase.</returns>
    public async ValueTask<byte[]?> TryUnlockAsync(
        int slot, ReadOnlyMemory<byte> passphrase, CancellationToken cancellationToken = default)
    {
        var entry = Header.Slots[slot];
        if (!entry.IsActive)
        {
            return null;
        }

        CheckWork();
        int keyBytes = (int)Header.KeyBytes;
        var material = new byte[KeySlot.MaterialBytes(keyBytes)];
        await _area.ReadAsync(entry.MaterialOffset, material, cancellationToken);
        CipherFor(entry, passphrase.Span).Decrypt(0, material, material);
        var key = new byte[keyBytes];
        AfSplitter.Merge(Header.Hash, material.AsSpan(0, keyBytes * KeySlot.Stripes), key);
        CryptographicOperations.ZeroMemory(material);
        var digest = new byte[LuksHeader.DigestBytes];
        Digest.Derive(Header.Hash, key, Header.DigestSalt, (int)Header.DigestIterations, digest);
        if (CryptographicOperations.FixedTimeEquals(digest, Header.KeyDigest))
        {
            return key;
        }

        CryptographicOperations.ZeroMemory(key);
        return null;
    }

    /// <summary>
    /// Stores the key of the disk in a slot, under a passphrase: the key material first, then the slot, and its state last, each durably,
    /// so that a crash leaves the slot inactive or whole. (The header crosses a sector's end.)
    /// </summary>
    public async ValueTask StoreAsync(
        int slot, ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> passphrase, TimeSpan iterationTime,
        CancellationToken cancellationToken = default)
    {
        uint iterations = Iterations.ForSlot(Header.Hash, key.Length, iterationTime);
        var entry = Header.Slots[slot] with { State = KeySlot.Inactive };
        if (Header.Slots[slot].IsActive)
        {
            await PutAsync(slot, entry, KeySlot.StateBytes, cancellationToken);
        }

        entry = entry with { Iterations = iterations, Salt = RandomNumberGenerator.GetBytes(KeySlot.SaltBytes) };
        var material = new byte[KeySlot.MaterialBytes(key.Length)];
        AfSplitter.Split(Header.Hash, key.Span, material.AsSpan(0, key.Length * KeySlot.Stripes));
        CipherFor(entry, passphrase.Span).Encrypt(0, material, material);
        await _area.WriteAsync(entry.MaterialOffset, material, cancellationToken);
        await PutAsync(slot, entry, KeySlot.Size, cancellationToken);
        await PutAsync(slot, entry with { State = KeySlot.Active }, KeySlot.StateBytes, cancellationToken);
    }

    /// <summary>Makes a slot inactive and destroys its key material.</summary>
    public async ValueTask EraseAsync(int slot, CancellationToken cancellationToken = default)
    {
        var entry = Header.Slots[slot] with { State = KeySlot.Inactive };
        await PutAsync(slot, entry, KeySlot.StateBytes, cancellationToken);
        await PutAsync(slot, entry with { Iterations = 0, Salt = new byte[KeySlot.SaltBytes] }, KeySlot.Size, cancellationToken);
        var noise = RandomNumberGenerator.GetBytes(KeySlot.MaterialBytes((int)Header.KeyBytes));
        await _area.WriteAsync(entry.MaterialOffset, noise, cancellationToken);
    }

    private async ValueTask PutAsync(int slot, KeySlot entry, int length, CancellationToken cancellationToken)
    {
        var bytes = new byte[KeySlot.Size];
        entry.WriteTo(bytes);
        await _area.WriteAsync(LuksHeader.OffsetOf(slot), bytes.AsMemory(0, length), cancellationToken);
        var slots = (KeySlot[])Header.Slots.Clone();
        slots[slot] = entry;
        Header = Header with { Slots = slots };
    }

    private SectorCipher CipherFor(KeySlot entry, ReadOnlySpan<byte> passphrase)
    {
        Span<byte> key = stackalloc byte[(int)Header.KeyBytes];
        Digest.Derive(Header.Hash, passphrase, entry.Salt, (int)entry.Iterations, key);
        var cipher = SectorCipher.Create(Header.Cipher, key);
        CryptographicOperations.ZeroMemory(key);
        return cipher;
    }

    private void CheckWork()
    {
        long perKey = ((long)Header.KeyBytes + Digest.Length(Header.Hash) - 1) / Digest.Length(Header.Hash);
        long work = Header.Slots.Where(static s => s.IsActive).Sum(s => (s.Iterations * perKey) + Header.DigestIterations);
        if (work > _maxWork)
        {
            throw new BlockException(
                BlockError.NotSupported,
                $"LUKS header: its key slots take {work} PBKDF2 iterations to try, more than the limit of {_maxWork}");
        }
    }
}
