namespace Paddock.Nbd;

/// <summary>Limits on requests; each bounds the memory or time that a hostile peer can use.</summary>
internal static class NbdLimits
{
    /// <summary>Maximum length of a read or write, in bytes; QEMU and the kernel's client rely on it.</summary>
    public const int MaxPayload = 32 << 20;

    /// <summary>Maximum payload of an option, in bytes: a name and a generous number of queries.</summary>
    public const int MaxOptionPayload = 64 << 10;

    /// <summary>Maximum number of options in one handshake; a client needs ten.</summary>
    public const int MaxOptions = 1024;

    /// <summary>Maximum number of requests of one connection outside its receive loop.</summary>
    public const int MaxInFlight = 256;

    /// <summary>Maximum bytes held by one connection's requests and unsent replies: two of the longest.</summary>
    public const long MaxInFlightBytes = 2L * (MaxPayload + 4096);

    /// <summary>Unit of a requested size, in bytes: a disk has whole sectors.</summary>
    public const uint SizeUnit = 512;

    /// <summary>Maximum number of extents in one block status reply.</summary>
    public const int MaxExtents = 4096;

    /// <summary>Maximum payload, in bytes, that a client accepts for anything but read data.</summary>
    public const int MaxReplyPayload = 16 << 20;
}
