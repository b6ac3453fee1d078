namespace Paddock.Posix;

/// <summary>The limit of <see cref="MappingBudget"/> is reached.</summary>
internal sealed class MappingLimitException(string message) : IOException(message);
