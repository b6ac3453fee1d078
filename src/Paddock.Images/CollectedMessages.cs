using Paddock.Block;

namespace Paddock.Images;

/// <summary>Keeps the messages of opening for <see cref="Disk.Warnings"/>.</summary>
internal sealed class CollectedMessages : IOpenMessages
{
    private const int Most = 100;

    private readonly Lock _lock = new();
    private readonly List<string> _warnings = [];

    /// <summary>The messages so far.</summary>
    public IReadOnlyList<string> Warnings
    {
        get
        {
            lock (_lock)
            {
                return [.. _warnings];
            }
        }
    }

    public void Warn(string warning) => Add(warning);

    public void Repaired(string line) => Add(line);

    public void Corrupted(string reason) => Add($"the image is corrupt, and closed for writing: {reason}");

    public void FoundCorrupt(string reason) => Add($"the image is corrupt: {reason}");

    public void GuessedRaw(string name)
        => Add($"'{name}' was recognized as raw: writes that would make its first block look like another format are rejected; "
            + "specify the format raw to allow them");

    private void Add(string message)
    {
        lock (_lock)
        {
            // a repair may have a line for each of many clusters
            if (_warnings.Count < Most)
            {
                _warnings.Add(EscapedText.Escape(message));
            }
        }
    }
}
