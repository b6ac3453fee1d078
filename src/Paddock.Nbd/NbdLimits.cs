namespace Paddock.Nbd;

/// <summary>What one side may ask of the other; each bounds memory or time that a hostile peer could take.</summary>
internal static class NbdLimits
{
    /// <summary>The longest read or write, in bytes: what QEMU and the kernel's client take for granted.</summary>
    public const int MaxPayload = 32 << 20;

    /// <summary>The longest payload of an option, in bytes: a name, and as many queries as anyone has.</summary>
    public const int MaxOptionPayload = 64 << 10;

    /// <summary>Options in one handshake: a client needs ten.</summary>
    public const int MaxOptions = 1024;

    /// <summary>Requests of one connection that are away from its receive loop.</summary>
    public const int MaxInFlight = 256;

    /// <summary>Bytes that one connection's requests and unsent replies may hold: two of the longest.</summary>
    public const long MaxInFlightBytes = 2L * (MaxPayload + 4096);

    /// <summary>A size that a client asks for is a multiple of it, in bytes: a disk has whole sectors.</summary>
    public const uint SizeUnit = 512;

    /// <summary>Extents in one block status reply.</summary>
    public const int MaxExtents = 4096;

    /// <summary>Bytes of a payload that a client takes from a server for anything that is not the data of a read.</summary>
    public const int MaxReplyPayload = 16 << 20;
}
