using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// The disk under an image and, if it has one, the disk under its external data file. A power cut comes at one moment for both, and each
/// loses of its unflushed data what it likes.
/// </summary>
internal sealed class CrashPair
{
    private readonly List<(int Image, int Data)> _moments = [];

    /// <param name="image">Initial contents of the image's disk.</param>
    /// <param name="data">Initial contents of the data file's disk; null: there is none.</param>
    /// <param name="faultSeed">Seed for choosing the requests to fail; null: none fails.</param>
    public CrashPair(PagedStorage image, PagedStorage? data, int? faultSeed = null)
    {
        Image = new CrashStorage(image, faultSeed);
        Data = data is null ? null : new CrashStorage(data);
        Hold = null;
    }

    /// <summary>The image's disk.</summary>
    public CrashStorage Image { get; }

    /// <summary>The data file's disk; null: there is none.</summary>
    public CrashStorage? Data { get; }

    /// <summary>Whether zeroes take no space on them, as in a Ceph cluster.</summary>
    public bool IsThin
    {
        set
        {
            Image.IsThin = value;
            if (Data is not null)
            {
                Data.IsThin = value;
            }
        }
    }

    /// <summary>Changes of both disks so far; identifies a moment.</summary>
    public int Position => Image.Log.Count + (Data?.Log.Count ?? 0);

    /// <summary>Awaited before a request to either takes effect; null: every request completes at once.</summary>
    public Func<ValueTask>? Hold
    {
        set
        {
            Image.Hold = Data is null ? value : () => NoteAsync(value);
            if (Data is not null)
            {
                Data.Hold = Image.Hold;
            }
        }
    }

    /// <summary>The moments at which power may be cut: positions, and how far each disk had come.</summary>
    public IReadOnlyList<(int Position, int Image, int Data)> Moments
        => Data is null ? [.. Enumerable.Range(0, Image.Log.Count + 1).Select(static i => (i, i, 0))]
            : [.. _moments.Append((Image.Log.Count, Data.Log.Count)).Distinct().Select(static m => (m.Item1 + m.Item2, m.Item1, m.Item2))];

    // moments are noted before each request: none is between a change and the next request
    private ValueTask NoteAsync(Func<ValueTask>? hold)
    {
        _moments.Add((Image.Log.Count, Data!.Log.Count));
        return hold is null ? default : hold();
    }
}

/// <summary>Builds the contents of both disks after power cuts, in ascending order of moments.</summary>
/// <param name="disks">The disks.</param>
internal sealed class PairCut(CrashPair disks)
{
    private readonly PowerCut _image = new(disks.Image.Log);
    private readonly PowerCut? _data = disks.Data is null ? null : new PowerCut(disks.Data.Log);

    /// <summary>Contents of the image's disk, and of the data file's.</summary>
    public (PagedStorage Image, PagedStorage? Data) At((int Position, int Image, int Data) moment, int seed)
        => (_image.At(moment.Image, seed), _data?.At(moment.Data, unchecked(seed * 31)));
}
