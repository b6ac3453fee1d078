using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>
/// An open qcow2 image without regard to zones: reads, writes, discards and resizes the virtual disk, and keeps the tables.
/// Clients open images through <see cref="OpenAsync"/>, which gives the zoned device where the image has zones.
/// </summary>
public sealed partial class Qcow2Image
{
    /// <summary>True when the storage begins with the qcow2 magic.</summary>
    public static ValueTask<bool> ProbeAsync(IStorage storage, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();

    /// <summary>Opens an image. The returned device owns the storage.</summary>
    /// <returns>An <see cref="IQcow2Device"/>; for a zoned image it is an <see cref="IZonedBlockDevice"/> too.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or a header beyond the limits.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format.</exception>
    public static ValueTask<IQcow2Device> OpenAsync(IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();

    /// <summary>Writes a new, empty image into an empty storage, which stays open. Options are checked whole before the first write.</summary>
    public static ValueTask CreateAsync(IStorage storage, Qcow2CreateOptions options, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();

    /// <summary>Checks, and mends where asked, the image in a storage that no device is open on.</summary>
    /// <param name="storage">Where the image lies; writable when something is to be mended.</param>
    /// <param name="repair">What may be mended.</param>
    /// <param name="line">Takes each line that qemu-img check would print while checking ("Leaked cluster 3 refcount=1 reference=0").</param>
    /// <param name="progress">Takes the done share, 0 to 1.</param>
    /// <param name="cancellationToken">Stops the check; what is mended by then stays mended.</param>
    public static ValueTask<Qcow2CheckReport> CheckAsync(
        IStorage storage, Qcow2Repair repair, Action<string>? line = null, Action<double>? progress = null, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();
}
