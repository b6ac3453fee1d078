using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Paddock.Nvme.Wire;

/// <summary>The digest of headers and data: CRC-32C, initial value and final XOR all ones.</summary>
internal static class Crc32C
{
    /// <summary>The digest of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
        {
            crc = BitOperations.Crc32C(crc, BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word));
        }

        foreach (byte rest in bytes[(bytes.Length & ~7)..])
        {
            crc = BitOperations.Crc32C(crc, rest);
        }

        return ~crc;
    }

    /// <summary>Writes the digest of some bytes.</summary>
    public static void Write(ReadOnlySpan<byte> bytes, Span<byte> to) => BinaryPrimitives.WriteUInt32LittleEndian(to, Of(bytes));
}
