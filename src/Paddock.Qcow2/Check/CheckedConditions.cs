using System.Buffers.Binary;

namespace Paddock.Qcow2.Check;

/// <summary>Paddock's own extension as the checker reads it by itself: where its one table lies
/// (docs/formats/paddock-extension.md).</summary>
internal static class CheckedConditions
{
    private const int HeadBytes = 16;

    /// <summary>Whether all tables that the extension may point at are known, so that what nothing refers to is really leaked.</summary>
    public static bool IsKnown(byte[] data)
        => data.Length == HeadBytes && BinaryPrimitives.ReadUInt32BigEndian(data) == 1 && Zones(data) <= CheckedZones.MaxZones;

    public static long OffsetOf(byte[] data) => BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(8));

    /// <summary>0 when there is no table.</summary>
    public static long BytesOf(byte[] data) => OffsetOf(data) == 0 ? 0 : HeadBytes + (long)Zones(data);

    private static uint Zones(byte[] data) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(4));
}
