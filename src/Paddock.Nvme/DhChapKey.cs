using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Paddock.Nvme;

/// <summary>
/// A key as `nvme gen-dhchap-key` writes it: <c>DHHC-1:HH:base64:</c>, where HH is 00 or the hash by which the key is bound to its owner's
/// name, and the base64 is that of the key and of its CRC-32, little-endian (NVMe base 2.0, 8.13.5.8).
/// </summary>
public sealed class DhChapKey
{
    private const string Prefix = "DHHC-1:";
    private const int CheckSize = sizeof(uint);
    private const uint CrcPolynomial = 0xEDB88320;

    private readonly byte[] _secret;
    private readonly DhChapHash? _hash;

    private DhChapKey(byte[] secret, DhChapHash? hash)
    {
        _secret = secret;
        _hash = hash;
    }

    /// <summary>Bytes of the secret: 32, 48 or 64.</summary>
    public int Length => _secret.Length;

    /// <summary>The hash that binds the key to a name; null: none.</summary>
    public DhChapHash? Hash => _hash;

    /// <summary>Reads a key.</summary>
    /// <exception cref="FormatException">Not a key; the message gives the reason and does not repeat the key.</exception>
    public static DhChapKey Parse(string text)
    {
        string[] parts = text.Split(':');
        if (parts is not ["DHHC-1", { Length: 2 } hash, var encoded, ""])
        {
            throw new FormatException("expected DHHC-1:HH:BASE64:");
        }

        if (hash[0] != '0' || hash[1] is < '0' or > '3')
        {
            throw new FormatException($"its hash is '{hash}', where 00, 01, 02 and 03 are known");
        }

        Span<byte> bytes = stackalloc byte[DhChapHashes.MaxLength + CheckSize];
        if (!Convert.TryFromBase64String(encoded, bytes, out int length))
        {
            throw new FormatException("its third part is no base64 of a key");
        }

        length -= CheckSize;
        if (length is not (32 or 48 or 64))
        {
            throw new FormatException($"it has {length} bytes, where 32, 48 and 64 are allowed");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[length..]) != Crc32(bytes[..length]))
        {
            throw new FormatException("its checksum does not match: it was not copied whole");
        }

        byte[] secret = bytes[..length].ToArray();
        CryptographicOperations.ZeroMemory(bytes);
        return new DhChapKey(secret, hash == "00" ? null : (DhChapHash)(hash[1] - '0'));
    }

    /// <summary>A new key.</summary>
    /// <param name="length">Bytes: 32, 48 or 64.</param>
    /// <param name="hash">Hash that binds the key to a name; null for none.</param>
    /// <param name="nqn">With a hash, a name to bind the random key to before it is written; null: it is written as it is.</param>
    public static DhChapKey Generate(int length, DhChapHash? hash, string? nqn)
    {
        var key = new DhChapKey(RandomNumberGenerator.GetBytes(length), hash);
        return hash is null || nqn is null ? key : new DhChapKey(key.For(nqn), hash);
    }

    /// <summary>The key as text.</summary>
    public string Export()
    {
        byte[] bytes = [.. _secret, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(_secret.Length), Crc32(_secret));
        return $"{Prefix}{(int)(_hash ?? 0):00}:{Convert.ToBase64String(bytes)}:";
    }

    /// <summary>Does not reveal the secret.</summary>
    public override string ToString() => $"a key of {Length} bytes";

    /// <summary>The key as its owner uses it: transformed for the name of the owner if the key requires it.</summary>
    internal byte[] For(string nqn) => _hash is { } hash
        ? CryptographicOperations.HmacData(hash.Algorithm(), _secret, Encoding.UTF8.GetBytes(nqn + "NVMe-over-Fabrics"))
        : _secret;

    // CRC-32 of IEEE 802.3; keys are too short to justify a table
    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ (CrcPolynomial & (0 - (crc & 1)));
            }
        }

        return ~crc;
    }
}
