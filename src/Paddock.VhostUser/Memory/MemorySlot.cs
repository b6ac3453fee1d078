using Paddock.Posix;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Memory;

/// <summary>One region of a guest's memory, mapped until it is disposed.</summary>
internal sealed class MemorySlot : IDisposable
{
    private readonly SharedMemory _shared;

    private MemorySlot(in RegionDescription description, SharedMemory shared)
    {
        Description = description;
        _shared = shared;
        Region = new MappedRegion(description.GuestAddress, description.UserAddress, description.Length, shared.Start);
    }

    /// <summary>Description by the front end.</summary>
    public RegionDescription Description { get; }

    /// <summary>The mapped region.</summary>
    public MappedRegion Region { get; }

    /// <summary>Whether the front end can truncate it, and so kill this process on the next access.</summary>
    public bool MayFault => _shared.MayFault;

    /// <summary>Maps a region.</summary>
    /// <param name="description">Description of the region.</param>
    /// <param name="file">Its file; may be closed afterwards.</param>
    /// <param name="mustBeSealed">Whether to reject a file that can be truncated.</param>
    /// <exception cref="IOException">The file is of the wrong kind or too short, or cannot be mapped.</exception>
    public static MemorySlot Map(in RegionDescription description, Microsoft.Win32.SafeHandles.SafeFileHandle file, bool mustBeSealed)
        => new(description, SharedMemory.Map(file, (long)description.FileOffset, (long)description.Length, mustBeSealed));

    /// <summary>Whether this is the region that is to be taken away: where it begins in its file does not count.</summary>
    public bool Is(in RegionDescription other)
        => Description with { FileOffset = 0 } == other with { FileOffset = 0 };

    /// <inheritdoc/>
    public void Dispose() => _shared.Dispose();
}
