using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2.Bitmaps;

namespace Paddock.Compat.Io;

/// <summary>A run of the tool: the open image, requests under way, and how commands print.</summary>
/// <param name="context">Where lines go.</param>
/// <param name="objects">Objects that options may name, as <c>--object</c> has them.</param>
internal sealed class IoSession(ToolContext context, IReadOnlyList<string>? objects = null)
{
    private readonly List<Task> _pending = [];
    private readonly Lock _printing = new();

    public ToolContext Context => context;

    /// <summary>Objects of the command line.</summary>
    public IReadOnlyList<string> Objects => objects ?? [];

    /// <summary>The open image; null if no image is open.</summary>
    public ImageNode? Image { get; private set; }

    /// <summary>The rules and breakpoints under the open image; null when it has none.</summary>
    public FaultStorage? Faults { get; private set; }

    /// <summary>What the open image was opened with, for reopen.</summary>
    public OpenedImage Opened { get; private set; }

    /// <summary>Set by quit.</summary>
    public bool Done { get; set; }

    public IBlockDevice Device => Image!.Device;

    private ImageOpener Opener => new(context.Program, context.Error);

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

    /// <summary>
    /// Prints a line to standard error: on a terminal in order with standard output, which is otherwise buffered, as the peer's is.
    /// </summary>
    public void Complain(string text)
    {
        lock (_printing)
        {
            if (context.IsTerminal)
            {
                context.Out.Flush();
            }

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
            var node = await Opener.OpenBareAsync(name, settings, imageOpts);
            var options = imageOpts ? KeyValueOptions.ParseToDict(name) : settings.Options;
            await UseAsync(new OpenedImage(imageOpts ? null : name, settings with { Options = options }, node));
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            Complain($"{context.Program}: can't open{(imageOpts ? "" : $" device {name}")}: {e.Message}");
            return false;
        }

        return true;
    }

    /// <summary>Opens the image again with other settings; if they are rejected, it stays open as it was.</summary>
    public async ValueTask<bool> ReopenAsync(OpenedImage changed)
    {
        var before = Opened;
        if (!await CloseAsync())
        {
            return false;
        }

        try
        {
            await UseAsync(changed with { Node = await Opener.OpenAgainAsync(changed.Name, changed.Settings) });
            return true;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            Complain($"{context.Program}: {IoOptions.Refusal(e.Message)}");
        }

        await UseAsync(before with { Node = await Opener.OpenAgainAsync(before.Name, before.Settings) });
        return false;
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
        catch (BlockException e) when (e is BitmapsLostException || image.Format?.Qcow2 is not null)
        {
            CloseFailure.LinesOf(e).ForEach(line => Complain($"{context.Program}: {line}"));
            return false;
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

    private async ValueTask UseAsync(OpenedImage opened)
    {
        Opened = opened;
        Image = opened.Settings.Snapshot ? await ScratchOverlay.OverAsync(opened.Node) : opened.Node;
        Faults = opened.Node.Faults;
        if (Faults is not null)
        {
            Faults.Suspended += tag => Print($"blkdebug: Suspended request '{tag}'\n");
            Faults.Resumed += tag => Print($"blkdebug: Resuming request '{tag}'\n");
        }
    }
}
