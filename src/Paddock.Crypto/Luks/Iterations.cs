using System.Diagnostics;
using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>How many PBKDF2 iterations take a given time on this machine.</summary>
internal static class Iterations
{
    /// <summary>Iterations of a digest or a slot are never fewer.</summary>
    public const uint Least = 1000;

    /// <summary>Iterations of a slot are never more, so that eight slots stay below <see cref="LuksVolume.MaxWork"/>.</summary>
    public const uint Most = 1 << 23;

    private const int FirstCount = 1 << 12;
    private static readonly TimeSpan Enough = TimeSpan.FromMilliseconds(40);

    /// <summary>For the digest of the key: an eighth of the time, as all slots may have to be tried.</summary>
    /// <exception cref="BlockException">The time is out of range.</exception>
    public static uint ForDigest(HashKind hash, TimeSpan time) => Count(hash, LuksHeader.DigestBytes, time / LuksHeader.SlotCount);

    /// <summary>For a slot.</summary>
    /// <exception cref="BlockException">The time is out of range.</exception>
    public static uint ForSlot(HashKind hash, int keyBytes, TimeSpan time) => Count(hash, keyBytes, time);

    private static uint Count(HashKind hash, int keyBytes, TimeSpan time)
    {
        if (time == TimeSpan.Zero)
        {
            return Least;
        }

        var key = new byte[keyBytes];
        var salt = RandomNumberGenerator.GetBytes(KeySlot.SaltBytes);
        for (int count = FirstCount; ; count *= 2)
        {
            long start = Stopwatch.GetTimestamp();
            Digest.Derive(hash, salt, salt, count, key);
            var taken = Stopwatch.GetElapsedTime(start);
            if (taken >= Enough || count >= 1 << 29)
            {
                return (uint)Math.Clamp(count * (time / taken), Least, Most);
            }
        }
    }
}
