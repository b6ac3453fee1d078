namespace Paddock.VhostUser.Rings;

internal static class PackedInflight
{
    public static int BytesFor(int size) => 32 + (32 * size);
}
