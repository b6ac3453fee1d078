using Paddock.Nbd;

namespace Paddock.Images.Nodes;

/// <summary>The drivers by name.</summary>
internal static class NodeDrivers
{
    private static readonly FileDriver File = new("file"), NamedFile = new("file", isImplied: true), HostDevice = new("host_device"),
        HostCdrom = new("host_cdrom");
    private static readonly NullDriver Null = new("null-co"), NullAio = new("null-aio");
    private static readonly NbdDriver Nbd = new();
    private static readonly HttpDriver Http = new("http"), Https = new("https");
    private static readonly RbdDriver Rbd = new();
    private static readonly BlkdebugDriver Blkdebug = new();
    private static readonly BlkverifyDriver Blkverify = new();
    private static readonly RawDriver Raw = new();
    private static readonly Qcow2Driver Qcow2 = new();
    private static readonly LuksDriver Luks = new();
    private static readonly QuorumDriver Quorum = new();
    private static readonly ThrottleDriver Throttle = new();
    private static readonly CopyOnReadDriver CopyOnRead = new();
    private static readonly CompressDriver Compress = new();
    private static readonly PreallocateDriver Preallocate = new();

    /// <summary>The driver with a name; null if absent.</summary>
    public static NodeDriver? Find(string name) => name switch
    {
        "raw" => Raw,
        "qcow2" => Qcow2,
        FormatProbe.Luks => Luks,
        "file" => File,
        "host_device" => HostDevice,
        "host_cdrom" => HostCdrom,
        "null-co" => Null,
        "null-aio" => NullAio,
        NbdNode.Driver => Nbd,
        RbdDriver.DriverName => Rbd,
        "http" => Http,
        "https" => Https,
        BlkdebugDriver.DriverName => Blkdebug,
        "blkverify" => Blkverify,
        "quorum" => Quorum,
        "throttle" => Throttle,
        "copy-on-read" => CopyOnRead,
        "compress" => Compress,
        "preallocate" => Preallocate,
        _ => null,
    };

    /// <summary>The protocol driver that a file name selects.</summary>
    /// <exception cref="ToolException">The name begins with a protocol that there is not.</exception>
    public static NodeDriver OfName(string name)
    {
        if (NbdTarget.IsName(name))
        {
            return Nbd;
        }

        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        if (colon < 0 || (slash >= 0 && slash < colon))
        {
            return NamedFile;
        }

        return name[..colon] switch
        {
            "file" => NamedFile,
            "http" => Http,
            "https" => Https,
            RbdDriver.DriverName => Rbd,
            "host_device" => HostDevice,
            "null-co" => Null,
            "null-aio" => NullAio,
            BlkdebugDriver.DriverName => Blkdebug,
            "blkverify" => Blkverify,
            _ => throw new ToolException($"Unknown protocol '{name[..colon]}'"),
        };
    }
}
