using System.Buffers.Binary;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Parameters;

namespace Paddock.Crypto.Ciphers;

/// <summary>Hashes and PBKDF2: .NET's, or BouncyCastle's for hashes that .NET does not have.</summary>
internal static class Digest
{
    /// <summary>Bytes in a hash.</summary>
    public static int Length(HashKind hash)
        => hash switch
        {
            HashKind.Md5 => 16,
            HashKind.Sha1 or HashKind.Ripemd160 => 20,
            HashKind.Sha224 => 28,
            HashKind.Sha256 or HashKind.Sm3 => 32,
            HashKind.Sha384 => 48,
            _ => 64,
        };

    /// <summary>Hashes data.</summary>
    public static byte[] Hash(HashKind hash, ReadOnlySpan<byte> data)
    {
        if (Platform(hash) is { } name)
        {
            return CryptographicOperations.HashData(name, data);
        }

        var digest = Bouncy(hash);
        digest.BlockUpdate(data);
        var result = new byte[Length(hash)];
        digest.DoFinal(result);
        return result;
    }

    /// <summary>Derives a key from a passphrase (PBKDF2 with HMAC).</summary>
    /// <param name="hash">The hash of the HMAC.</param>
    /// <param name="secret">The passphrase.</param>
    /// <param name="salt">The salt.</param>
    /// <param name="iterations">Number of iterations, 1 to <see cref="int.MaxValue"/>.</param>
    /// <param name="key">Receives the key.</param>
    public static void Derive(HashKind hash, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> salt, int iterations, Span<byte> key)
    {
        // .NET's PBKDF2 does not take MD5
        if (hash != HashKind.Md5 && Platform(hash) is { } name)
        {
            Rfc2898DeriveBytes.Pbkdf2(secret, salt, key, iterations, name);
            return;
        }

        var mac = new HMac(Bouncy(hash));
        mac.Init(new KeyParameter(secret));
        int size = Length(hash);
        Span<byte> round = stackalloc byte[size], sum = stackalloc byte[size], number = stackalloc byte[sizeof(int)];
        for (int block = 1; key.Length > 0; block++)
        {
            BinaryPrimitives.WriteInt32BigEndian(number, block);
            mac.BlockUpdate(salt);
            mac.BlockUpdate(number);
            mac.DoFinal(round);
            round.CopyTo(sum);
            for (int i = 1; i < iterations; i++)
            {
                mac.BlockUpdate(round);
                mac.DoFinal(round);
                for (int at = 0; at < size; at++)
                {
                    sum[at] ^= round[at];
                }
            }

            int count = Math.Min(size, key.Length);
            sum[..count].CopyTo(key);
            key = key[count..];
        }
    }

    /// <summary>.NET's name of a hash; null if .NET does not have it.</summary>
    public static HashAlgorithmName? Platform(HashKind hash)
        => hash switch
        {
            HashKind.Md5 => HashAlgorithmName.MD5,
            HashKind.Sha1 => HashAlgorithmName.SHA1,
            HashKind.Sha256 => HashAlgorithmName.SHA256,
            HashKind.Sha384 => HashAlgorithmName.SHA384,
            HashKind.Sha512 => HashAlgorithmName.SHA512,
            _ => null,
        };

    /// <summary>BouncyCastle's implementation of a hash that .NET does not have, or does not take for PBKDF2.</summary>
    public static IDigest Bouncy(HashKind hash)
        => hash switch
        {
            HashKind.Md5 => new MD5Digest(),
            HashKind.Sha224 => new Sha224Digest(),
            HashKind.Ripemd160 => new RipeMD160Digest(),
            _ => new SM3Digest(),
        };
}
