namespace Paddock.Posix;

internal static class Placeholder;
