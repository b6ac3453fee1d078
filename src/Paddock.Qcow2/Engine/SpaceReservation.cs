using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Space in the storage for clusters that are allocated ahead of any data.</summary>
internal static class SpaceReservation
{
    private const int WriteBytes = 1 << 20;

    private static readonly byte[] Zeroes = new byte[WriteBytes];

    /// <summary>Makes the storage reach over a range that reads as zeroes, with as much space as asked for.</summary>
    /// <param name="storage">The image's.</param>
    /// <param name="start">Start of the range.</param>
    /// <param name="length">Its length.</param>
    /// <param name="knownZero">Whether it reads as zeroes already.</param>
    /// <param name="preallocation">Metadata or off: none; falloc: reserved; full: written.</param>
    public static async ValueTask ReserveAsync(IStorage storage, HostOffset start, long length, bool knownZero, Preallocation preallocation)
    {
        long offset = start.Value, end = offset + length;
        if (preallocation == Preallocation.Full)
        {
            for (long at = offset; at < end; at += WriteBytes)
            {
                await storage.WriteAsync(at, Zeroes.AsMemory(0, (int)Math.Min(WriteBytes, end - at)));
            }

            return;
        }

        bool reserve = preallocation == Preallocation.Falloc;
        long inside = Math.Clamp(storage.Length - offset, 0, length);
        if (inside > 0 && (reserve || !knownZero))
        {
            await storage.WriteZeroesAsync(offset, inside, reserve ? ZeroFlags.None : ZeroFlags.MayUnmap);
        }

        if (end > storage.Length)
        {
            await storage.SetLengthAsync(end, reserve ? Preallocation.Falloc : Preallocation.Off);
        }
    }
}
