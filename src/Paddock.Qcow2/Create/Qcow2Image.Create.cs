using System.Buffers.Binary;
using System.Text;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// a new image: everything is checked first, then written in a few requests, the header last
public sealed partial class Qcow2Image
{
    /// <summary>Refuses options that make no image, as <see cref="CreateAsync"/> would, before any storage is opened.</summary>
    /// <exception cref="BlockException">An option is out of range, or two do not go together.</exception>
    public static void CheckCreateOptions(Qcow2CreateOptions options) => Create.CreatePlan.Make(options);

    /// <summary>Writes a new, empty image into an empty storage, which stays open. Options are checked whole before the first write.</summary>
    public static async ValueTask CreateAsync(IStorage storage, Qcow2CreateOptions options, CancellationToken cancellationToken = default)
    {
        var plan = Create.CreatePlan.Make(options);
        await storage.SetLengthAsync(0, Preallocation.Off, cancellationToken);
        foreach (var (offset, bytes) in plan.Regions)
        {
            await storage.WriteAsync(offset, bytes, cancellationToken);
        }

        if (options.Preallocation != Preallocation.Off)
        {
            // the reserving engine must not close the caller's storage: it is dropped after its flush
            var image = await OpenPlainAsync(storage, new Qcow2OpenOptions { NoBacking = true }, cancellationToken);
            await image.PreallocateAsync(0, image.Length, options.Preallocation);
            await image.CloseTablesAsync();
        }
    }
}
