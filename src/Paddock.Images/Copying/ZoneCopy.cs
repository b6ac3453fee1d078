using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>Copies a disk into a zoned one.</summary>
/// <remarks>
/// Zones that the copy reaches are reset first, so that a copy can be repeated, and then filled in order. Where the source has the same
/// zones its write pointers, FULL conditions and attributes are kept. From any other source a zone is written up to the last data in it.
/// </remarks>
internal sealed class ZoneCopy(IBlockDevice source, IBlockDevice target, CopyOptions options, long length)
{
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (options.WriteCompressed is not null)
        {
            throw new BlockException(BlockError.NotSupported, "a zoned disk takes no compressed data");
        }

        var plan = await ZonePlan.MakeAsync(source, target, options, length, cancellationToken);
        await plan.ResetAsync(cancellationToken);
        var sink = new ZoneSink(target, plan, options);
        await new CopyWork(source, sink, options, inOrder: true).RunAsync(
            [.. plan.Ranges(length).Select(r => (r.Start + options.Start, r.End + options.Start))], cancellationToken);
        await sink.EndAsync(cancellationToken);
    }
}
