using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Check;

/// <summary>
/// One check of one image: counts every reference, compares with the stored refcounts, mends where asked. It reads through the storage
/// alone; lines and counts are those of qemu-img check, and those about zones are ours.
/// </summary>
internal sealed partial class ImageChecker(
    CheckedImage image, Qcow2Repair repair, Action<string>? line, Action<double>? progress, CancellationToken cancellationToken)
{
    /// <summary>More lines than anybody reads; a hostile image would fill a disk with them.</summary>
    private const long MaxLines = 1_000_000;

    private const long IncompatibleField = 72, AutoclearField = 88;

    /// <summary>Bitmaps and raw external data: a repair keeps what they vouch for.</summary>
    private const ulong KnownAutoclear = 3;

    private readonly IStorage _storage = image.Storage;
    private readonly ReferenceMap _references = new();
    private Qcow2CheckReport _report = new();
    private StoredRefcounts _stored = null!;
    private long _clusters;
    private long _fileLength;
    private long _highest;
    private long _lines;
    private bool _rebuild;

    private bool FixErrors => repair == Qcow2Repair.All;

    private bool FixLeaks => repair != Qcow2Repair.None && !HasTablesOfUnknownLayout;

    public async ValueTask<Qcow2CheckReport> RunAsync()
    {
        progress?.Invoke(0);
        _report.TotalClusters = image.ClustersOf(image.VirtualSize);
        _fileLength = _storage.Length;
        _clusters = image.ClustersOf(_fileLength);
        CheckSnapshotEntries();
        _stored = await StoredRefcounts.ReadAsync(image, cancellationToken);
        await CountReferencesAsync(FixErrors);
        progress?.Invoke(0.7);

        var before = _report with { };
        await CompareAsync(false, false);
        if (_rebuild && FixErrors)
        {
            await RebuildAsync();
        }
        else if (repair != Qcow2Repair.None)
        {
            if (_rebuild)
            {
                Say("ERROR need to rebuild refcount structures");
                throw new BlockException(BlockError.Io, "the refcount structures are broken; only a repair of everything can rebuild them");
            }

            if (_report.Leaks != 0 || _report.Corruptions != 0)
            {
                _report = before;
                await CompareAsync(FixLeaks, FixErrors);
            }
        }

        progress?.Invoke(0.9);
        await CheckCopiedFlagsAsync();
        await CheckZonesAsync();
        await FinishAsync();
        progress?.Invoke(1);
        return _report;
    }

    private async ValueTask FinishAsync()
    {
        _report.ImageEndOffset = (_highest + 1) << image.ClusterBits;
        if (repair == Qcow2Repair.None)
        {
            return;
        }

        await _storage.FlushAsync(cancellationToken);
        await DiscardFreedAsync();
        if ((image.Autoclear & ~KnownAutoclear) != 0)
        {
            // whatever they vouch for may be untrue after a repair
            await WriteFeaturesAsync(AutoclearField, image.Autoclear & KnownAutoclear);
        }

        if (_report.CheckErrors == 0 && _report.Corruptions == 0 && (image.Incompatible & 3) != 0)
        {
            // dirty (bit 0) and corrupt (bit 1) go last, when all that they warned of is durable
            await WriteIncompatibleAsync(image.Incompatible & ~3UL);
        }
    }

    private async ValueTask WriteIncompatibleAsync(ulong bits)
    {
        image.Incompatible = bits;
        await WriteFeaturesAsync(IncompatibleField, bits);
    }

    private async ValueTask WriteFeaturesAsync(long field, ulong bits)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, bits);
        await _storage.WriteAsync(field, bytes, cancellationToken);
        await _storage.FlushAsync(cancellationToken);
    }

    private void Say(string text)
    {
        if (_lines++ < MaxLines)
        {
            line?.Invoke(text);
        }
        else if (_lines == MaxLines + 1)
        {
            line?.Invoke("Further messages are not shown");
        }
    }

    private void SayCorruption(string text)
    {
        Say(text);
        _report.Corruptions++;
    }

    private void CheckSnapshotEntries()
    {
        for (int i = 0; i < image.Snapshots.Count; i++)
        {
            if (image.IsVersion3 && image.Snapshots[i].ExtraBytes < 16)
            {
                SayCorruption($"ERROR snapshot table entry {i} is incomplete");
            }
        }
    }
}
