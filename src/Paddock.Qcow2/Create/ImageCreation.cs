using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Create;

/// <summary>Makes a new image: everything is checked first, then written in a few requests, the header last.</summary>
internal static class ImageCreation
{
    /// <summary>Writes a new, empty image into an empty storage, which stays open.</summary>
    public static async ValueTask RunAsync(
        IStorage storage, IStorage? dataFile, Qcow2CreateOptions options, CancellationToken cancellationToken)
    {
        var plan = CreatePlan.Make(options);
        if ((options.DataFile is null) != (dataFile is null))
        {
            throw new ArgumentException("DataFile in the options and a storage for it come together, or neither", nameof(dataFile));
        }

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

        // whoever reads a raw data file does not know the tables, so they must refer to all of it
        var preallocation = options is { DataFileRaw: true, Preallocation: Preallocation.Off }
            ? Preallocation.Metadata : options.Preallocation;
        if (dataFile is not null && preallocation == Preallocation.Off)
        {
            await dataFile.SetLengthAsync(plan.DiskSize, Preallocation.Off, cancellationToken);
        }

        if (preallocation != Preallocation.Off)
        {
            // the engine that allocates the clusters must not close the caller's storage: it is dropped after its flush
            var open = new Qcow2OpenOptions
            {
                NoBacking = true,
                DataFile = dataFile,
                Passphrase = options.Encryption?.Passphrase ?? default,
            };
            var image = await ImageOpening.OpenAsync(storage, open, cancellationToken);
            await image.Parts.Space.PreallocateAsync(default, new GuestOffset(image.Length), preallocation);
            await ImageClosing.WriteAsync(image.Parts);
        }
    }
}
