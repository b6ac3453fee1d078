namespace Paddock.Tools;

internal static class Placeholder;
