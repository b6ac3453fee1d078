using Paddock.Block;

namespace Paddock.Qcow2;

// checking lives in a class of its own, which shares nothing with the engine but the structures
public sealed partial class Qcow2Image
{
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
