namespace Paddock.VhostUser.Rings;

/// <summary>Where an append in flight is to land, or has landed.</summary>
/// <param name="Offset">The first byte's offset on the disk.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct AppendNote(long Offset, int Length);

/// <summary>
/// Our own part behind the record of requests in flight: for each entry of a ring's record, where its append was about to land before any
/// of it did. So a successor knows whether it was done, and where. Little-endian:
/// <code>
/// OFFSET      SIZE MEANING
///  0 24 x size     entries, numbered as the record's
///      0         8   counter of the request in the record, plus 1; 0: nothing is noted
///      8         8   offset on the disk
///     16         4   bytes
///     20         4   reserved
/// </code>
/// </summary>
/// <remarks>A former process wrote it, and anyone who holds the file may: what is read is checked by who uses it.</remarks>
internal sealed unsafe class AppendNotes(nint start, int count)
{
    private const int OffsetOffset = 8, LengthOffset = 16, EntrySize = 24;

    private readonly byte* _start = (byte*)start;

    /// <summary>Bytes for a ring.</summary>
    public static int BytesFor(int size) => EntrySize * size;

    /// <summary>Notes down. A process that is killed meanwhile leaves no half of it.</summary>
    public void Set(int entry, ulong counter, AppendNote note)
    {
        Long(entry, OffsetOffset) = (ulong)note.Offset;
        *(int*)(At(entry) + LengthOffset) = note.Length;
        Volatile.Write(ref Long(entry, 0), counter + 1);
    }

    /// <summary>Forgets.</summary>
    public void Clear(int entry) => Volatile.Write(ref Long(entry, 0), 0);

    /// <summary>What is noted for a request.</summary>
    public AppendNote? Find(int entry, ulong counter) => Long(entry, 0) == counter + 1 ? Read(entry) : null;

    /// <summary>Forgets what did not come true.</summary>
    public void Keep(Func<AppendNote, bool> isThere)
    {
        for (int entry = 0; entry < count; entry++)
        {
            if (Long(entry, 0) != 0 && !isThere(Read(entry)))
            {
                Clear(entry);
            }
        }
    }

    private AppendNote Read(int entry) => new((long)Long(entry, OffsetOffset), *(int*)(At(entry) + LengthOffset));

    private byte* At(int entry) => _start + ((long)EntrySize * entry);

    private ref ulong Long(int entry, int field) => ref *(ulong*)(At(entry) + field);
}
