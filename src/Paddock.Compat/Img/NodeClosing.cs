using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2.Engine;

namespace Paddock.Compat.Img;

/// <summary>Closes an image at the end of a command. Where the command has failed, that is the failure to report last.</summary>
/// <param name="node">The image.</param>
/// <param name="ctx">Takes the lines of a failure to close it.</param>
internal sealed class NodeClosing(ImageNode node, ToolContext ctx) : IAsyncDisposable
{
    /// <summary>Whether the command has succeeded, so that a failure to close the image is its own.</summary>
    public bool IsExpected { get; set; }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await node.DisposeAsync();
        }
        catch (BlockException e) when (!IsExpected)
        {
            if (e is ClusterFreeException)
            {
                // as in QEMU without the program's name
                ctx.Error.Write($"qcow2_free_clusters failed: {ErrorText.Of(e)}\n");
                return;
            }

            CloseFailure.LinesOf(e).ForEach(ctx.Report);
        }
    }
}
