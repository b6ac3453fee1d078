using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the refcount blocks. One that lies past the end of the file is repaired by growing the file.</summary>
internal sealed class RefcountBlocksPass(CheckContext context) : ICheckPass
{
    /// <summary>How far past the end of the storage a repair grows it to include a refcount block.</summary>
    private const long MaxGrowth = 1L << 40;

    private const ulong ReservedBits = 0x1ff;

    private readonly CheckedImage _image = context.Image;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var table = context.Stored.Table;
        for (int i = 0; i < table.Length; i++)
        {
            var offset = new HostOffset(unchecked((long)(table[i] & ~ReservedBits)));
            if ((table[i] & ReservedBits) != 0)
            {
                context.ReportCorruption($"ERROR refcount table entry {i} has reserved bits set");
                context.NeedsRebuild = true;
            }
            else if (!_image.IsAligned(offset))
            {
                context.ReportCorruption($"ERROR refcount block {i} is not cluster aligned; refcount table entry corrupted");
                context.NeedsRebuild = true;
            }
            else if (offset.Value < 0 || _image.ClusterOf(offset).Index >= context.Clusters)
            {
                await GrowToBlockAsync(i, offset, cancellationToken);
            }
            else if (offset.Value != 0)
            {
                context.Count(offset, _image.ClusterSize);
                if (context.References[_image.ClusterOf(offset)] is not 1 and var count)
                {
                    context.ReportCorruption($"ERROR refcount block {i} refcount={count}");
                    context.NeedsRebuild = true;
                }
            }
        }
    }

    private async ValueTask GrowToBlockAsync(int index, HostOffset offset, CancellationToken cancellationToken)
    {
        context.ReportCorruption($"{(context.RepairsEntries ? "Repairing" : "ERROR")} refcount block {index} is outside image");
        if (!context.RepairsEntries)
        {
            context.NeedsRebuild = true;
            return;
        }

        if (offset.Value < 0 || offset.Value > context.Storage.Length + MaxGrowth)
        {
            context.NeedsRebuild = true;
            context.Print("ERROR could not resize image: Invalid argument");
            return;
        }

        await context.Storage.SetLengthAsync(offset.Value + _image.ClusterSize, Preallocation.Off, cancellationToken);
        context.RefreshLength();
        context.Report.Corruptions--;
        context.Report.CorruptionsFixed++;
        context.Count(offset, _image.ClusterSize);
    }
}
