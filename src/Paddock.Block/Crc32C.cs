using System.Buffers.Binary;
using System.Numerics;

namespace Paddock.Block;

/// <summary>CRC-32C (Castagnoli), initial value and final XOR all ones: digests on the wire, checksums of tables.</summary>
internal static class Crc32C
{
    /// <summary>The checksum of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    /// <summary>Writes the checksum of some bytes, little-endian.</summary>
    public static void Write(ReadOnlySpan<byte> bytes, Span<byte> to) => BinaryPrimitives.WriteUInt32LittleEndian(to, Of(bytes));
}
