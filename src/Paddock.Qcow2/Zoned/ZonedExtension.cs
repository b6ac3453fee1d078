using Paddock.Block;

namespace Paddock.Qcow2.Zoned;

/// <summary>Tells which of the three layouts a zoned header extension has (zoned-qcow2.md 1.2, Choice), and reads and writes it.</summary>
internal static class ZonedExtension
{
    /// <summary>Reads the extension; null when it means "not zoned".</summary>
    /// <exception cref="BlockException">It is of no layout, or a field is out of its limits.</exception>
    public static ZonedParameters? Read(ReadOnlySpan<byte> data, long virtualSize, int clusterSize, long fileLength)
    {
        if (data.Length is not (ZonedLayoutA.Size or ZonedLayoutC.Size))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"zoned header extension: its length is {data.Length}, and must be {ZonedLayoutC.Size} or {ZonedLayoutA.Size}");
        }

        if (data[0] == 0)
        {
            return null;
        }

        if (data[0] != 1)
        {
            throw new BlockException(
                BlockError.NotSupported, $"zoned header extension: zoned is {data[0]}, and must be 0 or 1 (host-managed)");
        }

        var zoned = Choose(data, virtualSize, clusterSize, fileLength);
        zoned.Validate(virtualSize, clusterSize, fileLength);
        return zoned;
    }

    /// <summary>The extension's bytes in the parameters' own layout.</summary>
    public static byte[] Write(ZonedParameters zoned)
    {
        var data = new byte[zoned.Layout == ZoneLayout.C ? ZonedLayoutC.Size : ZonedLayoutA.Size];
        switch (zoned.Layout)
        {
            case ZoneLayout.A:
                ZonedLayoutA.Write(zoned, data);
                break;
            case ZoneLayout.B:
                ZonedLayoutB.Write(zoned, data);
                break;
            default:
                ZonedLayoutC.Write(zoned, data);
                break;
        }

        return data;
    }

    private static ZonedParameters Choose(ReadOnlySpan<byte> data, long virtualSize, int clusterSize, long fileLength)
    {
        if (data.Length == ZonedLayoutC.Size)
        {
            return ZonedLayoutC.Parse(data);
        }

        var a = ZonedLayoutA.Parse(data);
        var b = ZonedLayoutB.Parse(data);
        return !a.IsPlausible(virtualSize, clusterSize, fileLength) && b.IsPlausible(virtualSize, clusterSize, fileLength) ? b : a;
    }
}
