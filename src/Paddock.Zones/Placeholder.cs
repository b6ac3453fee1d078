namespace Paddock.Zones;

internal static class Placeholder;
