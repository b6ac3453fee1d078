namespace Paddock.Cli.Completion;

/// <summary>A word that may come next on a command line.</summary>
/// <param name="Word">The word; one that ends with <c>=</c> is continued by a value.</param>
/// <param name="Description">What it means, in a line; may be empty.</param>
internal readonly record struct Candidate(string Word, string Description);
