using Paddock.Block;
using Paddock.Qcow2.Check;

namespace Paddock.Qcow2;

public sealed partial class Qcow2Image
{
    /// <summary>Checks an image in a storage that no device is open on, and repairs it on request.</summary>
    /// <param name="storage">The storage that holds the image; writable if anything is to be repaired.</param>
    /// <param name="repair">What may be repaired.</param>
    /// <param name="line">Receives each line that qemu-img check would print ("Leaked cluster 3 refcount=1 reference=0").</param>
    /// <param name="progress">Receives the share done, 0 to 1.</param>
    /// <param name="cancellationToken">Stops the check; repairs made by then remain.</param>
    /// <returns>What was found, and how much of it was repaired. A second check without repair shows what is left.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or more memory needed than a check may use.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format beyond repair.</exception>
    public static async ValueTask<Qcow2CheckReport> CheckAsync(
        IStorage storage, Qcow2Repair repair, Action<string>? line = null, Action<double>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(storage);
        if (repair != Qcow2Repair.None && storage.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is open for reading only and cannot be repaired");
        }

        var image = await CheckedImage.ReadAsync(storage, cancellationToken);
        return await new CheckPasses(new CheckContext(image, repair, line, progress)).RunAsync(cancellationToken);
    }
}
