using System.Runtime.InteropServices;

namespace Paddock.Sim;

/// <summary>
/// Self-describing contents: each 512-byte sector holds its position on the disk and the version written, so that a reader can identify the
/// write that produced a sector, or that none did. Version 0 is zeroes.
/// </summary>
internal static class SectorPattern
{
    /// <summary>Sector size in bytes.</summary>
    public const int Sector = 512;

    /// <summary>Result of <see cref="Identify"/> for bytes that no write produced for this position.</summary>
    public const long Garbage = -1;

    /// <summary>Version of a sector that was made unreadable.</summary>
    public const uint Unreadable = int.MaxValue;

    /// <summary>Fills whole sectors, starting at an offset, with one version.</summary>
    public static void Fill(Span<byte> buffer, long offset, uint version)
    {
        for (int at = 0; at < buffer.Length; at += Sector)
        {
            FillSector(MemoryMarshal.Cast<byte, ulong>(buffer.Slice(at, Sector)), (offset + at) / Sector, version);
        }
    }

    /// <summary>Returns new whole sectors of one version.</summary>
    public static byte[] Make(long offset, int length, uint version)
    {
        var bytes = new byte[length];
        Fill(bytes, offset, version);
        return bytes;
    }

    /// <summary>Returns the version that a sector holds; <see cref="Garbage"/> if no write produced it.</summary>
    public static long Identify(ReadOnlySpan<byte> sector, long offset)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(sector);
        if (!words.ContainsAnyExcept(0UL))
        {
            return 0;
        }

        uint version = (uint)(words[0] >> 32);
        Span<ulong> expected = stackalloc ulong[Sector / sizeof(ulong)];
        FillSector(expected, offset / Sector, version);
        return version != 0 && words.SequenceEqual(expected) ? version : Garbage;
    }

    /// <summary>The sector for which a pattern was made.</summary>
    public static long OriginOf(ReadOnlySpan<byte> sector) => (uint)MemoryMarshal.Cast<byte, ulong>(sector)[0];

    private static void FillSector(Span<ulong> words, long sector, uint version)
    {
        if (version == 0)
        {
            words.Clear();
            return;
        }

        // words repeat, so that clusters are compressible
        ulong mixed = (version * 0x9E3779B97F4A7C15UL) ^ ((ulong)sector * 0xC2B2AE3D27D4EB4FUL);
        words[0] = ((ulong)version << 32) | (uint)sector;
        words[1] = mixed;
        words[2] = ~mixed;
        words[3] = mixed << 7;
        words[..4].CopyTo(words[4..]);
        words[..8].CopyTo(words[8..]);
        words[..16].CopyTo(words[16..]);
        words[..32].CopyTo(words[32..]);
    }
}
