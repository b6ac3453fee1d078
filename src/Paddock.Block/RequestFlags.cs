namespace Paddock.Block;

/// <summary>Options of a write.</summary>
[Flags]
public enum WriteFlags
{
    /// <summary>Nothing: the data may sit in a volatile cache until the next flush.</summary>
    None = 0,

    /// <summary>Force unit access: the data is durable when the request completes.</summary>
    Fua = 1,
}

/// <summary>Options of a write-zeroes request.</summary>
[Flags]
public enum ZeroFlags
{
    /// <summary>The range reads as zeroes afterwards and keeps its storage.</summary>
    None = 0,

    /// <summary>Durable on completion.</summary>
    Fua = 1,

    /// <summary>The storage of the range may be released.</summary>
    MayUnmap = 2,

    /// <summary>Fail with <see cref="BlockError.NotSupported"/> rather than write buffers of zeroes.</summary>
    NoFallback = 4,
}

/// <summary>How much storage a resize or a create reserves at once.</summary>
public enum Preallocation
{
    /// <summary>None: storage is allocated by the first write.</summary>
    Off,

    /// <summary>The format's tables only.</summary>
    Metadata,

    /// <summary>Tables, and data space reserved by the file system.</summary>
    Falloc,

    /// <summary>Tables, and data space written with zeroes.</summary>
    Full,
}
