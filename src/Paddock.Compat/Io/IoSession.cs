using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;

namespace Paddock.Compat.Io;

/// <summary>A run of the tool: the open image, requests under way, and how commands print.</summary>
/// <param name="context">Where lines go.</param>
internal sealed class IoSession(ToolContext context)
{
    private readonly List<Task> _pending = [];
    private readonly Lock _printing = new();

    public ToolContext Context => context;

    /// <summary>The open image; null if no image is open.</summary>
    public ImageNode? Image { get; private set; }

    /// <summary>The rules and breakpoints under the open image; null when it has none.</summary>
    public FaultStorage? Faults { get; private set; }

    /// <summary>What the open image was opened with, for reopen.</summary>
    public (string Name, OpenSettings Settings, bool ImageOpts) Opened { get; private set; }

    /// <summary>Set by quit.</summary>
    public bool Done { get; set; }

    public IBlockDevice Device => Image!.Device;

    /// <summary>The zoned device, or a refusal as a drive without zones gives it.</summary>
    public IZones Zones
        => Device.Zones ?? throw new BlockException(BlockError.NotSupported, "the image has no zones");

    /// <summary>Prints whole lines to standard output. Requests that end on other threads print too.</summary>
    public void Print(string text)
    {
        lock (_printing)
        {
            context.Out.Write(text);
        }
    }

    /// <summary>Prints a line to standard error, in order with what went to standard output.</summary>
    public void Complain(string text)
    {
        lock (_printing)
        {
            context.Out.Flush();
            context.Error.Write(EscapedText.EscapeLines(text + "\n"));
            context.Error.Flush();
        }
    }

    /// <summary>Opens an image; false, with a message, when that fails or one is open.</summary>
    public async ValueTask<bool> OpenAsync(string name, OpenSettings settings, bool imageOpts)
    {
        if (Image is not null)
        {
            Complain($"{context.Program}: file open already, try 'help close'");
            return false;
        }

        try
        {
            var node = await new ImageOpener(context.Program, context.Error).OpenBareAsync(name, settings, imageOpts);
            Image = settings.Snapshot ? await ScratchOverlay.OverAsync(node) : node;
            Faults = node.Faults;
            if (Faults is not null)
            {
                Faults.Suspended += tag => Print($"blkdebug: Suspended request '{tag}'\n");
                Faults.Resumed += tag => Print($"blkdebug: Resuming request '{tag}'\n");
            }
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            Complain($"{context.Program}: can't open{(imageOpts ? "" : $" device {name}")}: {e.Message}");
            return false;
        }

        Opened = (name, settings, imageOpts);
        return true;
    }

    /// <summary>Waits for what is under way and closes the image.</summary>
    public async ValueTask<bool> CloseAsync()
    {
        await DrainAsync();
        if (Image is null)
        {
            return true;
        }

        var image = Image;
        Image = null;
        try
        {
            await image.DisposeAsync();
            return true;
        }
        catch (BlockException e)
        {
            Complain($"{context.Program}: {e.Message}");
            return false;
        }
    }

    /// <summary>Remembers a request that goes on while further commands run.</summary>
    public void Start(Task request)
    {
        _pending.RemoveAll(static t => t.IsCompleted);
        _pending.Add(request);
    }

    /// <summary>Waits for every request under way.</summary>
    public async ValueTask DrainAsync()
    {
        await Task.WhenAll(_pending);
        _pending.Clear();
    }
}
