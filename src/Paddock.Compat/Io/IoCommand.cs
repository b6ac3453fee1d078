namespace Paddock.Compat.Io;

/// <summary>One command of the tool.</summary>
/// <param name="Name">Its long name.</param>
/// <param name="Alias">Its short name; empty when it has none.</param>
/// <param name="MinArguments">Fewest words after the name.</param>
/// <param name="MaxArguments">Most words; -1 for any number.</param>
/// <param name="NeedsFile">Whether an image must be open.</param>
/// <param name="Writes">Whether the image must be open for writing.</param>
/// <param name="Usage">Its arguments, for help.</param>
/// <param name="Summary">What it does, for help.</param>
/// <param name="Run">Carries it out on the words, the name first; false: it failed.</param>
internal sealed record IoCommand(
    string Name, string Alias, int MinArguments, int MaxArguments, bool NeedsFile, bool Writes, string Usage, string Summary,
    Func<IoSession, IReadOnlyList<string>, ValueTask<bool>> Run)
{
    /// <summary>The line that help shows.</summary>
    public string HelpLine => $"{(Usage.Length == 0 ? "" : Usage + " ")}-- {Summary}";
}
