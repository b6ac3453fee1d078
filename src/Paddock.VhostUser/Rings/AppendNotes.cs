namespace Paddock.VhostUser.Rings;

/// <summary>Destination of an append in flight.</summary>
/// <param name="Offset">Offset on the disk.</param>
/// <param name="Length">Length in bytes.</param>
internal readonly record struct AppendNote(long Offset, int Length);

/// <summary>
/// An extension after the record of requests in flight: for each entry of a ring's record, the offset of its append, noted before any
/// of it is written. A successor can tell from it whether the append was done, and where. Little-endian:
/// <code>
/// OFFSET      SIZE MEANING
///  0 24 x size     entries, numbered as the record's
///      0         8   counter of the request in the record, plus 1; 0: nothing is noted
///      8         8   offset on the disk
///     16         4   bytes
///     20         4   reserved
/// </code>
/// </summary>
/// <remarks>Written by a previous process, or by any process with the file: the user of a note checks it.</remarks>
internal sealed unsafe class AppendNotes(nint start, int count)
{
    private const int OffsetOffset = 8, LengthOffset = 16, EntrySize = 24;

    private readonly byte* _start = (byte*)start;

    /// <summary>Size in bytes for a ring.</summary>
    public static int BytesFor(int size) => EntrySize * size;

    /// <summary>Stores a note atomically: a killed process leaves no partial note.</summary>
    public void Set(int entry, ulong counter, AppendNote note)
    {
        Long(entry, OffsetOffset) = (ulong)note.Offset;
        *(int*)(At(entry) + LengthOffset) = note.Length;
        Volatile.Write(ref Long(entry, 0), counter + 1);
    }

    /// <summary>Clears a note.</summary>
    public void Clear(int entry) => Volatile.Write(ref Long(entry, 0), 0);

    /// <summary>Returns the note of a request.</summary>
    public AppendNote? Find(int entry, ulong counter) => Long(entry, 0) == counter + 1 ? Read(entry) : null;

    /// <summary>Clears the notes of appends that were not done.</summary>
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
