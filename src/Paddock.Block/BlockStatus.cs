namespace Paddock.Block;

/// <summary>Facts about a run of a device's bytes, in the sense of QEMU's block status.</summary>
[Flags]
public enum BlockStatusFlags
{
    /// <summary>Nothing is known or allocated here: a layer with a backing image reads from it.</summary>
    None = 0,

    /// <summary>The bytes are stored.</summary>
    Data = 1,

    /// <summary>The bytes read as zeroes.</summary>
    Zero = 2,

    /// <summary>This layer decides the contents (its backing image is not consulted).</summary>
    Allocated = 4,

    /// <summary><see cref="BlockStatus.HostOffset"/> is where the bytes lie in the storage underneath.</summary>
    OffsetValid = 8,

    /// <summary>The bytes are stored compressed.</summary>
    Compressed = 16,

    /// <summary>The run reaches the end of the device.</summary>
    EndOfDevice = 32,

    /// <summary>The bytes were made unreadable (<see cref="IUnreadableRanges"/>).</summary>
    Unreadable = 64,
}

/// <summary>One run of bytes with the same facts. A run is at least one byte long unless the query was empty or began at the end.</summary>
/// <param name="Length">Bytes in the run.</param>
/// <param name="Flags">Facts that apply to all of them.</param>
/// <param name="HostOffset">
/// Where the run starts in the storage underneath; meaningful with <see cref="BlockStatusFlags.OffsetValid"/>.
/// </param>
public readonly record struct BlockStatus(long Length, BlockStatusFlags Flags, long HostOffset = 0);
