using System.Diagnostics;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Engine;

/// <summary>Opens images: everything is validated before the first write.</summary>
internal static class ImageOpening
{
    /// <summary>Opens the engine alone, without zones.</summary>
    public static async ValueTask<Qcow2Image> OpenAsync(IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken)
    {
        var loaded = await HeaderReader.ReadAsync(storage, cancellationToken);
        bool writable = !options.ReadOnly && !storage.IsReadOnly;
        HeaderReader.CheckFeatures(loaded, writable && !options.ForCheck);
        if (writable && !options.ForCheck && (loaded.Fields.Incompatible & IncompatibleFeatures.Dirty) != 0)
        {
            await RepairAsync(storage, options, cancellationToken);
            loaded = await HeaderReader.ReadAsync(storage, cancellationToken);
        }

        var external = await DataFileOpening.OpenAsync(loaded, options, storage, cancellationToken);
        try
        {
            return await OpenAsync(storage, external, loaded, options, writable, cancellationToken);
        }
        catch
        {
            // one that the caller supplied stays the caller's, as the image's file does
            if (external is not null && options.DataFile is null)
            {
                await external.Storage.DisposeAsync();
            }

            throw;
        }
    }

    private static async ValueTask<Qcow2Image> OpenAsync(
        IStorage storage, ExternalData? external, LoadedHeader loaded, Qcow2OpenOptions options, bool writable,
        CancellationToken cancellationToken)
    {
        var header = loaded.Fields;
        options.Tables?.Take(header);
        var l1 = await L1Table.ReadAsync(storage, header, cancellationToken);
        if (!options.ForCheck && !options.NoBacking)
        {
            TableSharing.Refuse(l1, new HostOffset((long)header.L1Offset), header.Geometry, storage.Length);
        }

        List<SnapshotEntry> snapshots = [];
        if (!options.ForCheck)
        {
            header.ValidateSnapshotTable();
            snapshots = await SnapshotTable.ReadAsync(storage, header, cancellationToken);
            options.Tables?.Take(snapshots.Sum(static s => s.Header.EntrySize));
        }

        var encryption = await DiskEncryption.OpenAsync(storage, loaded, options, cancellationToken);
        var snapshot = options.Snapshot?.Find(snapshots);
        if (snapshot is not null)
        {
            (loaded, l1) = await LoadSnapshotAsync(storage, options, loaded, snapshot, cancellationToken);
        }

        var backing = loaded.BackingName is null || options.NoBacking
            ? null
            : await options.Gate.OpenBackingAsync(loaded.BackingName, loaded.BackingFormat, storage, cancellationToken);
        var image = new Qcow2Image(new ImageParts(storage, options, loaded, l1, snapshots, backing, external, encryption)
        {
            LoadedSnapshot = snapshot, PresentSize = (long)header.VirtualSize,
        });
        try
        {
            await OpenBitmapsAsync(image.Parts, options, writable, cancellationToken);
        }
        catch when (backing is not null)
        {
            await backing.DisposeAsync();
            throw;
        }

        return image;
    }

    /// <summary>The header and the L1 table as they would be, were the disk that of a snapshot.</summary>
    private static async ValueTask<(LoadedHeader Header, ulong[] L1)> LoadSnapshotAsync(
        IStorage storage, Qcow2OpenOptions options, LoadedHeader loaded, SnapshotEntry entry, CancellationToken cancellationToken)
    {
        Debug.Assert(options.ReadOnly, "a snapshot is only read");
        try
        {
            SnapshotL1.Check(loaded.Fields.Geometry, entry);
            options.Tables?.Take(entry.Header.L1Entries * 8L);
            var l1 = await SnapshotL1.ReadAsync(storage, loaded.Fields.Geometry, entry, cancellationToken);
            long size = options.Snapshot!.KeepsSize ? (long)loaded.Fields.VirtualSize : entry.DiskSize ?? (long)loaded.Fields.VirtualSize;
            if (size < 0 || loaded.Fields.Geometry.L1EntriesFor(size) * 8 > Qcow2Limits.MaxL1Bytes)
            {
                throw new ImageCorruptException(
                    "snapshot table", new((long)loaded.Fields.SnapshotTableOffset),
                    $"the disk of snapshot {entry.Id} has {size} bytes, more than an L1 table of {Qcow2Limits.MaxL1Bytes} bytes covers");
            }

            var fields = loaded.Fields with
            {
                L1Offset = (ulong)entry.Header.L1TableOffset.Value, L1Entries = entry.Header.L1Entries, VirtualSize = (ulong)size,
            };
            return (loaded with { Fields = fields }, l1);
        }
        catch (BlockException e) when (e is not SnapshotLoadException)
        {
            throw new SnapshotLoadException(e.Error, e.Message, e);
        }
    }

    private static async ValueTask OpenBitmapsAsync(
        ImageParts parts, Qcow2OpenOptions options, bool writable, CancellationToken cancellationToken)
    {
        // a snapshot of another size has no bitmaps
        if (options.ForCheck || options.Snapshot is { KeepsSize: false })
        {
            return;
        }

        if (options.Snapshot is null)
        {
            await parts.Unreadable.LoadAsync(cancellationToken);
        }

        await parts.Bitmaps.ReadAsync(options.Tables, cancellationToken);
        if (writable && options.MarkBitmaps && parts.Bitmaps.All.Length > 0)
        {
            await parts.Session.StartEarlyAsync();
        }
    }

    private static async ValueTask RepairAsync(IStorage storage, Qcow2OpenOptions options, CancellationToken cancellationToken)
    {
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.All, options.OnRepair, null, cancellationToken);
        if (report.CheckErrors > 0)
        {
            throw new BlockException(BlockError.Io, "Could not repair dirty image: Input/output error");
        }
    }
}
