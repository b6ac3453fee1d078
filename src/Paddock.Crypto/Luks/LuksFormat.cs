using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>Makes new LUKS headers.</summary>
internal static class LuksFormat
{
    /// <summary>The longest time for PBKDF2 that is accepted.</summary>
    public static readonly TimeSpan LongestTime = TimeSpan.FromHours(1);

    /// <summary>The cipher that options describe.</summary>
    /// <exception cref="BlockException">An option is unknown, or two do not go together.</exception>
    public static CipherSpec SpecOf(LuksOptions options)
    {
        var algorithm = CipherNames.FindAlgorithm(options.Cipher)
            ?? throw new BlockException(BlockError.NotSupported, $"Algorithm '{EscapedText.Escape(options.Cipher)}' not supported");
        var mode = Find("cipher-mode", options.Mode, CipherNames.FindMode);
        var generator = Find("ivgen-alg", options.IvGenerator, CipherNames.FindGenerator);
        string? ivHash = options.IvHash ?? (generator == IvGenerator.Essiv ? "sha256" : null);
        var spec = new CipherSpec(
            algorithm, mode, generator, ivHash is null ? null : Find("ivgen-hash-alg", ivHash, CipherNames.FindHash));
        if (options.IterationTime < TimeSpan.Zero || options.IterationTime > LongestTime)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"iter-time is {options.IterationTime.TotalMilliseconds:0} ms: it must be 0 to "
                    + $"{LongestTime.TotalMilliseconds:0}");
        }

        _ = HashOf(options);
        spec.Validate();
        return spec;
    }

    /// <summary>Bytes from the start of the header to the data.</summary>
    /// <exception cref="BlockException">An option is unknown, or two do not go together.</exception>
    public static long HeaderBytes(LuksOptions options) => PayloadSector(SpecOf(options)) * SectorCipher.SectorBytes;

    /// <summary>Writes a new header with one slot, which holds a new random key.</summary>
    /// <param name="area">Where the header goes; must be large enough, and reads as zeroes.</param>
    /// <param name="options">The options.</param>
    /// <param name="isDetached">Whether the data are in another file.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="BlockException">An option is unknown, or two do not go together.</exception>
    public static async ValueTask<LuksVolume> WriteAsync(
        LuksArea area, LuksOptions options, bool isDetached = false, CancellationToken cancellationToken = default)
    {
        var spec = SpecOf(options);
        var hash = HashOf(options);
        var key = RandomNumberGenerator.GetBytes(spec.KeyBytes);
        var header = NewHeader(spec, hash, isDetached) with { DigestIterations = Iterations.ForDigest(hash, options.IterationTime) };
        Digest.Derive(hash, key, header.DigestSalt, (int)header.DigestIterations, header.KeyDigest);
        var bytes = new byte[LuksHeader.Size];
        header.WriteTo(bytes);
        await area.WriteAsync(0, bytes, cancellationToken);
        var volume = new LuksVolume(area, header, isDetached);
        await volume.StoreAsync(0, key, options.Passphrase, options.IterationTime, cancellationToken);
        CryptographicOperations.ZeroMemory(key);
        return volume;
    }

    private static LuksHeader NewHeader(CipherSpec spec, HashKind hash, bool isDetached)
    {
        long step = KeySlot.MaterialSectors(spec.KeyBytes, KeySlot.Stripes);
        var slots = new KeySlot[LuksHeader.SlotCount];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = new KeySlot { FirstSector = (uint)(LuksHeader.HeadSectors + (i * step)) };
        }

        return new LuksHeader
        {
            CipherName = CipherNames.FamilyOf(spec.Algorithm),
            CipherMode = spec.ModeText,
            HashName = CipherNames.Of(hash),
            PayloadSector = isDetached ? 0 : (uint)PayloadSector(spec),
            KeyBytes = (uint)spec.KeyBytes,
            DigestSalt = RandomNumberGenerator.GetBytes(KeySlot.SaltBytes),
            Uuid = Guid.NewGuid().ToString(),
            Slots = slots,
        };
    }

    private static long PayloadSector(CipherSpec spec)
        => LuksHeader.HeadSectors + (LuksHeader.SlotCount * KeySlot.MaterialSectors(spec.KeyBytes, KeySlot.Stripes));

    private static HashKind HashOf(LuksOptions options) => Find("hash-alg", options.Hash, CipherNames.FindHash);

    private static T Find<T>(string option, string value, Func<string, T?> find)
        where T : struct
        => find(value) ?? throw new BlockException(
            BlockError.InvalidArgument, $"Parameter '{option}' does not accept value '{EscapedText.Escape(value)}'");
}
