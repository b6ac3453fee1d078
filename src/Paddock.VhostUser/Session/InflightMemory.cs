using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// Memory of the record of requests in flight: the front end keeps it when this process ends and passes it to the next. The back end
/// chooses its length; the append notes of a zoned disk follow the part that the protocol defines:
/// <code>
/// OFFSET                    SIZE MEANING
///  0  rings x ring's record      each ring's record (vhost-user, "Inflight I/O tracking")
///  after                       8 "PADDOCKA": notes follow
///                             56 reserved
///  after  rings x ring's notes   each ring's <see cref="AppendNotes"/>
/// </code>
/// Memory created by another back end has no notes.
/// </summary>
internal sealed unsafe class InflightMemory : IDisposable
{
    // "PADDOCKA", read as a little-endian number
    private const ulong NotesMark = 0x414B_434F_4444_4150;
    private const int NotesHeader = 64;

    private readonly SharedMemory _shared;
    private readonly int _rings;
    private readonly int _ringSize;
    private readonly nint _notes;

    private InflightMemory(SharedMemory shared, in InflightDescription description, bool packed, bool isNew)
    {
        _shared = shared;
        (_rings, _ringSize) = (description.Rings, description.RingSize);
        long records = BytesFor(description, packed, hasNotes: false);
        if (shared.Length >= BytesFor(description, packed, hasNotes: true))
        {
            ref ulong mark = ref *(ulong*)(shared.Start + (nint)records);
            mark = isNew ? NotesMark : mark;
            _notes = mark == NotesMark ? shared.Start + (nint)(records + NotesHeader) : 0;
        }
    }

    /// <summary>Creates a new record.</summary>
    /// <param name="wanted">Requested number and size of rings.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="hasNotes">Whether to include append notes.</param>
    /// <param name="description">The complete description.</param>
    /// <param name="file">The file, to be passed to the front end.</param>
    /// <exception cref="RequestRefusedException">The number or size of rings is out of range.</exception>
    /// <exception cref="IOException">There is no memory for it.</exception>
    public static InflightMemory Create(
        in InflightDescription wanted, bool packed, bool hasNotes, out InflightDescription description, out SafeFileHandle file)
    {
        CheckCounts(wanted);
        description = wanted with { Length = (ulong)BytesFor(wanted, packed, hasNotes), FileOffset = 0 };
        file = SharedMemory.Create("paddock-inflight", (long)description.Length);
        try
        {
            return new InflightMemory(SharedMemory.Map(file, 0, (long)description.Length), description, packed, isNew: true);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Maps the record that a front end has kept.</summary>
    /// <param name="given">Description by the front end.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="hasNotes">Whether to use append notes, if present.</param>
    /// <param name="file">The file; may be closed afterwards.</param>
    /// <param name="mustBeSealed">Whether to reject a file that can be truncated.</param>
    /// <exception cref="RequestRefusedException">The file is too short for its rings.</exception>
    /// <exception cref="IOException">The file cannot be mapped.</exception>
    public static InflightMemory Map(in InflightDescription given, bool packed, bool hasNotes, SafeFileHandle file, bool mustBeSealed)
    {
        CheckCounts(given);
        long needed = BytesFor(given, packed, hasNotes: false), whole = BytesFor(given, packed, hasNotes: true);
        long length = hasNotes && given.Length >= (ulong)whole ? whole : needed;
        return given.Length < (ulong)needed || given.FileOffset > (ulong)(long.MaxValue - length)
            ? throw new RequestRefusedException($"a record of {given.Length} bytes has no room for {given.Rings} rings of {given.RingSize}")
            : new InflightMemory(SharedMemory.Map(file, (long)given.FileOffset, length, mustBeSealed), given, packed, isNew: false);
    }

    /// <summary>Returns a ring's part.</summary>
    /// <exception cref="RingException">The record has no room for the ring.</exception>
    public InflightRegion Part(int ring, int size, bool packed)
    {
        long stride = InflightRegion.BytesFor(_ringSize, packed);
        return ring < _rings && size <= _ringSize && (ring + 1) * stride <= _shared.Length
            ? new InflightRegion((nint)(_shared.Start + (ring * stride)), stride, NotesOf(ring))
            : throw new RingException($"the record of {_rings} rings of {_ringSize} in flight has no room for ring {ring} of {size}");
    }

    /// <summary>
    /// Clears the notes of appends that were not done. Must be called before the first ring runs: later writes may use
    /// the noted offsets.
    /// </summary>
    /// <param name="rings">Rings that may run.</param>
    /// <param name="isThere">Whether the disk holds something everywhere where a note says.</param>
    public void KeepNotes(int rings, Func<AppendNote, bool> isThere)
    {
        for (int ring = 0; _notes != 0 && ring < Math.Min(rings, _rings); ring++)
        {
            new AppendNotes(NotesOf(ring), _ringSize).Keep(isThere);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _shared.Dispose();

    private nint NotesOf(int ring) => _notes == 0 ? 0 : _notes + (ring * AppendNotes.BytesFor(_ringSize));

    private static long BytesFor(in InflightDescription description, bool packed, bool hasNotes)
        => ((long)description.Rings * InflightRegion.BytesFor(description.RingSize, packed))
            + (hasNotes ? NotesHeader + ((long)description.Rings * AppendNotes.BytesFor(description.RingSize)) : 0);

    private static void CheckCounts(in InflightDescription description)
    {
        if (description.Rings is 0 or > VhostUserLimits.MaxQueues || description.RingSize is 0 or > RingLimits.LargestRing)
        {
            throw new RequestRefusedException($"a record of {description.Rings} rings of {description.RingSize} in flight");
        }
    }
}
