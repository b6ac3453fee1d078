using System.Buffers.Binary;

namespace Paddock.Handover;

/// <summary>What a block contains: a number that no other block has, and bytes that follow from it.</summary>
internal static class Pattern
{
    /// <summary>Bytes of a block.</summary>
    public const int Block = 4096;

    private const ulong Multiplier = 6364136223846793005, Increment = 1442695040888963407;

    /// <summary>Fills a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="salt">Of the lane.</param>
    /// <param name="number">From 1.</param>
    public static void Fill(Span<byte> block, int salt, long number)
    {
        BinaryPrimitives.WriteInt64LittleEndian(block, number);
        ulong state = unchecked(((ulong)number * Multiplier) ^ (uint)salt);
        for (int at = sizeof(long); at < Block; at += sizeof(long))
        {
            state = unchecked((state * Multiplier) + Increment);
            BinaryPrimitives.WriteUInt64LittleEndian(block[at..], state);
        }
    }

    /// <summary>A new block.</summary>
    public static byte[] Of(int salt, long number)
    {
        byte[] block = new byte[Block];
        Fill(block, salt, number);
        return block;
    }

    /// <summary>The number of a block; 0: it is all zeroes; null: it is neither.</summary>
    public static long? NumberOf(ReadOnlySpan<byte> block, int salt)
    {
        if (!block.ContainsAnyExcept((byte)0))
        {
            return 0;
        }

        long number = BinaryPrimitives.ReadInt64LittleEndian(block);
        Span<byte> right = stackalloc byte[Block];
        Fill(right, salt, number);
        return block.SequenceEqual(right) ? number : null;
    }
}
