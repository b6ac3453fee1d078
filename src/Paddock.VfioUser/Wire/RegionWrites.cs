using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// Several writes in one message ("VFIO_USER_REGION_WRITE_MULTI"); the reply has the number of writes alone.
/// <code>
/// offset size
///      0    8  number of writes
///      8   24  for each write: offset (8), region (4), count (4), data (8, of which count are used)
/// </code>
/// </summary>
internal static class RegionWrites
{
    /// <summary>Size in bytes before the writes, and of the reply.</summary>
    public const int Size = sizeof(ulong);

    /// <summary>Size of a write in bytes.</summary>
    public const int EntrySize = RegionAccess.Size + MaxData;

    /// <summary>Maximum data of a write in bytes.</summary>
    public const int MaxData = sizeof(ulong);

    /// <summary>Checks a request.</summary>
    /// <returns>Number of writes.</returns>
    /// <exception cref="RequestFailedException">The number does not match the size.</exception>
    public static int ParseCount(ReadOnlySpan<byte> from)
    {
        Payload.ExpectLeast(Command.RegionWriteMulti, Size, from.Length);
        ulong count = BinaryPrimitives.ReadUInt64LittleEndian(from);
        return (from.Length - Size) % EntrySize == 0 && count == (ulong)((from.Length - Size) / EntrySize)
            ? (int)count
            : throw new RequestFailedException(ErrorNumber.Invalid, $"{count} writes in {from.Length} bytes of payload");
    }

    /// <summary>Reads a write.</summary>
    /// <param name="from">The payload.</param>
    /// <param name="index">Number of the write, from 0.</param>
    /// <param name="data">Its data.</param>
    /// <exception cref="RequestFailedException">It has more data than there can be.</exception>
    public static RegionAccess ParseEntry(ReadOnlySpan<byte> from, int index, out ReadOnlySpan<byte> data)
    {
        var entry = from.Slice(Size + (index * EntrySize), EntrySize);
        var access = RegionAccess.Parse(Command.RegionWriteMulti, entry);
        data = access.Count <= MaxData ? entry.Slice(RegionAccess.Size, (int)access.Count)
            : throw new RequestFailedException(
                ErrorNumber.Invalid, $"one of several writes has {access.Count} bytes: expected {MaxData} or less");
        return access;
    }

    /// <summary>Writes the number of writes.</summary>
    public static void WriteCount(Span<byte> to, int count) => BinaryPrimitives.WriteUInt64LittleEndian(to, (ulong)count);
}
