using Paddock.Block;

namespace Paddock.Images.Backups;

/// <summary>
/// The disk as it was when the last backup of a chain was made: each part as the last backup that has it as changed has it, else as the
/// full backup. Size and zones are those of the last backup.
/// </summary>
internal sealed class ChainView : DelegatingDevice
{
    private readonly IBlockDevice _full;
    private readonly (IBlockDevice Disk, IDirtyBitmap Changes)[] _increments;

    /// <param name="full">The full backup; not owned.</param>
    /// <param name="increments">The increments, oldest first; not owned.</param>
    public ChainView(IBlockDevice full, (IBlockDevice Disk, IDirtyBitmap Changes)[] increments)
        : base(increments is [.., var last] ? last.Disk : full, owns: false)
    {
        _full = full;
        _increments = increments;
    }

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override IUnreadableRanges? UnreadableRanges => null;

    /// <inheritdoc/>
    public override IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public override bool IsReadOnly => true;

    /// <inheritdoc/>
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            var (disk, length) = Find(offset, buffer.Length);
            var part = buffer[..(int)length];
            int inside = (int)Math.Clamp(disk.Length - offset, 0, length);
            await disk.ReadAsync(offset, part[..inside], cancellationToken);
            part[inside..].Span.Clear();
            offset += length;
            buffer = buffer[part.Length..];
        }
    }

    /// <inheritdoc/>
    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        if (length == 0)
        {
            return new(new BlockStatus(0, BlockStatusFlags.Zero | BlockStatusFlags.Allocated));
        }

        var (disk, run) = Find(offset, length);
        return LayerStatus.QueryAsync(disk, offset, run, cancellationToken);
    }

    private (IBlockDevice Disk, long Length) Find(long offset, long length)
    {
        for (int i = _increments.Length - 1; i >= 0; i--)
        {
            var (disk, changes) = _increments[i];
            if (offset >= changes.Length)
            {
                // the disk was shorter then: what was there before is gone, and what came later has its bits
                length = Math.Max(1, length);
                return (disk, length);
            }

            var run = changes.Find(offset, Math.Min(length, changes.Length - offset));
            length = run.Length;
            if (run.IsDirty)
            {
                return (disk, length);
            }
        }

        return (_full, length);
    }
}
