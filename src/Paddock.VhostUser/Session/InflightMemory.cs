using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// The memory in which requests in flight are recorded: the front end keeps it when this process ends, and gives it to the next. Its length
/// is ours to say; behind what the protocol describes stands what a zoned disk notes of its appends:
/// <code>
/// OFFSET                    SIZE MEANING
///  0  rings x ring's record      each ring's record (vhost-user, "Inflight I/O tracking")
///  after                       8 "PADDOCKA": notes follow
///                             56 reserved
///  after  rings x ring's notes   each ring's <see cref="AppendNotes"/>
/// </code>
/// Memory that another back end made has no notes.
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

    /// <summary>Makes a new one.</summary>
    /// <param name="wanted">How many rings of what size; the rest is ours to say.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="hasNotes">Whether it has room to note appends.</param>
    /// <param name="description">All of it.</param>
    /// <param name="file">The file, to be given to the front end.</param>
    /// <exception cref="RequestRefusedException">No ring, too many, or too large.</exception>
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

    /// <summary>Takes back what a front end kept.</summary>
    /// <param name="given">What it says of it.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="hasNotes">Whether notes of appends are of use, if there are some.</param>
    /// <param name="file">The file; may be closed afterwards.</param>
    /// <param name="mustBeSealed">Whether a file is refused that can be cut short.</param>
    /// <exception cref="RequestRefusedException">It has no room for its rings.</exception>
    /// <exception cref="IOException">It cannot be mapped.</exception>
    public static InflightMemory Map(in InflightDescription given, bool packed, bool hasNotes, SafeFileHandle file, bool mustBeSealed)
    {
        CheckCounts(given);
        long needed = BytesFor(given, packed, hasNotes: false), whole = BytesFor(given, packed, hasNotes: true);
        long length = hasNotes && given.Length >= (ulong)whole ? whole : needed;
        return given.Length < (ulong)needed || given.FileOffset > (ulong)(long.MaxValue - length)
            ? throw new RequestRefusedException($"a record of {given.Length} bytes has no room for {given.Rings} rings of {given.RingSize}")
            : new InflightMemory(SharedMemory.Map(file, (long)given.FileOffset, length, mustBeSealed), given, packed, isNew: false);
    }

    /// <summary>A ring's part.</summary>
    /// <exception cref="RingException">It has no room for that ring.</exception>
    public InflightRegion Part(int ring, int size, bool packed)
    {
        long stride = InflightRegion.BytesFor(_ringSize, packed);
        return ring < _rings && size <= _ringSize && (ring + 1) * stride <= _shared.Length
            ? new InflightRegion((nint)(_shared.Start + (ring * stride)), stride, NotesOf(ring))
            : throw new RingException($"the record of {_rings} rings of {_ringSize} in flight has no room for ring {ring} of {size}");
    }

    /// <summary>
    /// Forgets the notes of appends that were not done. To be called before the first ring runs: what is written from then on may stand
    /// where one of them was to land.
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
