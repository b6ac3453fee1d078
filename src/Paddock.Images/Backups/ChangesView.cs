using Paddock.Block;

namespace Paddock.Images.Backups;

/// <summary>The changed parts of a disk; the rest reads as zeroes. Its zones are those of the disk.</summary>
/// <param name="disk">The disk; not owned.</param>
/// <param name="changes">The bitmaps, each of which may have a part as changed. They do not change.</param>
internal sealed class ChangesView(IBlockDevice disk, IReadOnlyList<IDirtyBitmap> changes) : DelegatingDevice(disk, owns: false)
{
    private const BlockStatusFlags Nothing = BlockStatusFlags.Zero | BlockStatusFlags.Allocated;

    /// <inheritdoc/>
    public override IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public override bool IsReadOnly => true;

    /// <inheritdoc/>
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            var run = Find(offset, buffer.Length);
            var part = buffer[..(int)run.Length];
            if (run.IsDirty)
            {
                await Inner.ReadAsync(offset, part, cancellationToken);
            }
            else
            {
                part.Span.Clear();
            }

            offset += run.Length;
            buffer = buffer[part.Length..];
        }
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        if (length == 0)
        {
            return new BlockStatus(0, Nothing);
        }

        var run = Find(offset, length);
        return run.IsDirty ? await LayerStatus.QueryAsync(Inner, offset, run.Length, cancellationToken)
            : new BlockStatus(run.Length, Nothing);
    }

    /// <summary>The run at an offset in which no bitmap changes its value, and whether one of them has it as changed.</summary>
    public DirtyRun Find(long offset, long length)
    {
        bool isDirty = false;
        foreach (var bitmap in changes)
        {
            var run = offset < bitmap.Length ? bitmap.Find(offset, length) : new DirtyRun(length, true);
            length = Math.Min(length, run.Length);
            isDirty |= run.IsDirty;
        }

        return new DirtyRun(length, isDirty);
    }
}

/// <summary>What a disk and its backing images have at an offset, without regard to where the bytes lie.</summary>
internal static class LayerStatus
{
    /// <summary>Returns a run that holds data, or zeroes.</summary>
    public static async ValueTask<BlockStatus> QueryAsync(IBlockDevice disk, long offset, long length, CancellationToken cancellationToken)
    {
        for (var layer = disk; ; layer = layer.Backing)
        {
            if (offset >= layer.Length)
            {
                return new BlockStatus(length, BlockStatusFlags.Zero | BlockStatusFlags.Allocated);
            }

            var status = await layer.GetStatusAsync(offset, Math.Min(length, layer.Length - offset), cancellationToken);
            length = Math.Max(1, Math.Min(length, status.Length));
            bool isAllocated = (status.Flags & BlockStatusFlags.Allocated) != 0;
            if (isAllocated || layer.Backing is null)
            {
                bool isZero = !isAllocated || (status.Flags & BlockStatusFlags.Zero) != 0;
                return new BlockStatus(
                    length, BlockStatusFlags.Allocated | (isZero ? BlockStatusFlags.Zero : BlockStatusFlags.Data));
            }
        }
    }
}
