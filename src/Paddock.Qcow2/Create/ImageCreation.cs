using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Create;

/// <summary>Makes a new image: everything is checked first, then written in a few requests, the header last.</summary>
internal static class ImageCreation
{
    /// <summary>Writes a new, empty image into an empty storage, which stays open.</summary>
    public static async ValueTask RunAsync(IStorage storage, Qcow2CreateOptions options, CancellationToken cancellationToken)
    {
        var plan = CreatePlan.Make(options);
        await storage.SetLengthAsync(0, Preallocation.Off, cancellationToken);
        if (options.Encryption is { } luks)
        {
            var area = plan.LuksHeader.In(storage);
            await storage.WriteZeroesAsync(area.Start, area.Length, ZeroFlags.None, cancellationToken);
            await LuksFormat.WriteAsync(area, luks, cancellationToken: cancellationToken);
        }

        foreach (var (offset, bytes) in plan.Regions)
        {
            await storage.WriteAsync(offset, bytes, cancellationToken);
        }

        if (options.Preallocation != Preallocation.Off)
        {
            // the engine that allocates the clusters must not close the caller's storage: it is dropped after its flush
            var image = await ImageOpening.OpenAsync(storage, new Qcow2OpenOptions
            {
                NoBacking = true, Passphrase = options.Encryption?.Passphrase ?? default,
            }, cancellationToken);
            await image.Parts.Space.PreallocateAsync(default, new GuestOffset(image.Length), options.Preallocation);
            await ImageClosing.WriteAsync(image.Parts);
        }
    }
}
