using Paddock.Qcow2;

namespace Paddock.Sim;

/// <summary>A snapshot that a run takes and may delete, with the log positions between which it must or may exist.</summary>
/// <typeparam name="T">Contents of the disk at its moment.</typeparam>
/// <param name="name">Name.</param>
/// <param name="contents">Contents.</param>
/// <param name="from">Log length before it was taken.</param>
internal sealed class SnapshotLife<T>(string name, T contents, int from)
{
    public string Name => name;

    public T Contents => contents;

    /// <summary>Log length when it was complete.</summary>
    public int MadeBy { get; set; } = int.MaxValue;

    /// <summary>Log length before its deletion.</summary>
    public int DeletedFrom { get; set; } = int.MaxValue;

    /// <summary>Log length after its deletion.</summary>
    public int DeletedBy { get; set; } = int.MaxValue;

    public Qcow2SnapshotInfo? Info { get; set; }

    /// <summary>Whether it exists, without a power cut.</summary>
    public bool Exists => DeletedFrom == int.MaxValue;

    /// <summary>Whether it may exist after a cut at a position.</summary>
    public bool MayExist(int position) => from < position && position < DeletedBy;

    /// <summary>Throws unless it may exist, or be missing, after a cut at a position.</summary>
    public void Check(bool isFound, int position)
    {
        bool must = MadeBy <= position && position <= DeletedFrom;
        SimFailure.Unless(
            isFound ? MayExist(position) : !must, $"snapshot {Name} is {(isFound ? "there" : "missing")} after a cut at {position}");
    }
}
