using Paddock.Block;

namespace Paddock.Images.Text;

/// <summary>
/// Prints the first lines of a list that an image determines, and the number of the others: an image can name millions of findings,
/// snapshots or extensions, and names of tens of kilobytes.
/// </summary>
/// <param name="print">Takes a line, without its end.</param>
/// <param name="most">Lines that are printed.</param>
internal sealed class BoundedLines(Action<string> print, int most)
{
    /// <summary>Findings of a check.</summary>
    public const int Findings = 4096;

    /// <summary>Snapshots of an image.</summary>
    public const int Snapshots = 100;

    /// <summary>Characters of one name.</summary>
    public const int NameLength = 256;

    private readonly Lock _lock = new();
    private long _count;

    /// <summary>A name, escaped and cut to <see cref="NameLength"/> characters.</summary>
    public static string Name(string name)
        => EscapedText.Escape(name.Length <= NameLength ? name : name[..NameLength]) + (name.Length <= NameLength ? "" : "...");

    /// <summary>Prints or counts a line; control characters in it are escaped.</summary>
    public void Add(string line)
    {
        lock (_lock)
        {
            if (_count++ < most)
            {
                print(EscapedText.Escape(line));
            }
        }
    }

    /// <summary>Says how many lines were left out; nothing when all were printed.</summary>
    public void End()
    {
        lock (_lock)
        {
            if (_count > most)
            {
                print($"... and {_count - most} more");
            }

            _count = 0;
        }
    }
}
