namespace Paddock.Nbd.Wire;

/// <summary>Magic numbers of the protocol's structures.</summary>
internal static class NbdMagic
{
    /// <summary>"NBDMAGIC": the first eight bytes that a server sends.</summary>
    public const ulong Greeting = 0x4E42444D41474943;

    /// <summary>"IHAVEOPT": the next eight, and the start of each option.</summary>
    public const ulong Option = 0x49484156454F5054;

    /// <summary>The next eight of a server that speaks the old handshake.</summary>
    public const ulong Oldstyle = 0x00420281861253;

    /// <summary>The start of each reply to an option.</summary>
    public const ulong OptionReply = 0x0003E889045565A9;

    /// <summary>A request with a header of 28 bytes.</summary>
    public const uint Request = 0x25609513;

    /// <summary>A request with a header of 32 bytes.</summary>
    public const uint ExtendedRequest = 0x21E41C71;

    /// <summary>A reply of 16 bytes.</summary>
    public const uint SimpleReply = 0x67446698;

    /// <summary>A chunk of a reply, with a header of 20 bytes.</summary>
    public const uint StructuredReply = 0x668E33EF;

    /// <summary>A chunk of a reply, with a header of 32 bytes.</summary>
    public const uint ExtendedReply = 0x6E8A278C;
}
