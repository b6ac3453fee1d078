using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Copying;

namespace Paddock.Compat.Img;

/// <summary>The images that <c>convert</c> reads, one behind the other.</summary>
internal sealed class ConvertSources : IAsyncDisposable
{
    private ConvertSources()
    {
    }

    /// <summary>The images.</summary>
    public List<ImageNode> Nodes { get; } = [];

    /// <summary>The first of them.</summary>
    public ImageNode First => Nodes[0];

    /// <summary>All of them as one disk.</summary>
    public IBlockDevice Device { get; private set; } = null!;

    /// <summary>Opens the images.</summary>
    public static async ValueTask<ConvertSources> OpenAsync(ConvertArguments given, ImageOpener opener, ToolContext ctx)
    {
        var sources = new ConvertSources();
        try
        {
            foreach (string name in given.Sources)
            {
                sources.Nodes.Add(name == StreamNames.Standard && !given.SourceIsOptions
                    ? await StreamNames.SpoolAsync(path => opener.OpenAsync(path, given.SourceSettings))
                    : await opener.OpenAsync(name, given.SourceSettings, given.SourceIsOptions));
            }
        }
        catch
        {
            await sources.DisposeAsync();
            throw;
        }

        sources.Device = sources.Nodes.Count == 1 ? sources.First.Device : new ConcatDevice([.. sources.Nodes.Select(n => n.Device)]);
        return sources;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes)
        {
            await node.DisposeAsync();
        }
    }
}
