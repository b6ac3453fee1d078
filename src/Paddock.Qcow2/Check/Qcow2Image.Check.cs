using Paddock.Block;
using Paddock.Qcow2.Check;

namespace Paddock.Qcow2;

public sealed partial class Qcow2Image
{
    /// <summary>Checks, and mends where asked, the image in a storage that no device is open on.</summary>
    /// <param name="storage">Where the image lies; writable when something is to be mended.</param>
    /// <param name="repair">What may be mended.</param>
    /// <param name="line">Takes each line that qemu-img check would print while checking ("Leaked cluster 3 refcount=1 reference=0").</param>
    /// <param name="progress">Takes the done share, 0 to 1.</param>
    /// <param name="cancellationToken">Stops the check; what is mended by then stays mended.</param>
    /// <returns>What was found and what of it was mended; a second check without repair tells what the image is like now.</returns>
    /// <exception cref="BlockException">Not a qcow2 image, an unknown feature, or more than a check may take in memory.</exception>
    /// <exception cref="ImageCorruptException">The header or a top-level table contradicts the format beyond mending.</exception>
    public static async ValueTask<Qcow2CheckReport> CheckAsync(
        IStorage storage, Qcow2Repair repair, Action<string>? line = null, Action<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(storage);
        if (repair != Qcow2Repair.None && storage.IsReadOnly)
        {
            throw new BlockException(BlockError.ReadOnly, "the image is open for reading only and cannot be repaired");
        }

        var image = await CheckedImage.ReadAsync(storage, cancellationToken);
        return await new ImageChecker(image, repair, line, progress, cancellationToken).RunAsync();
    }
}
