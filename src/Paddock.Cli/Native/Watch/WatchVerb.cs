using Paddock.Images;

namespace Paddock.Cli.Native.Watch;

/// <summary>What `paddock zones --watch` shows.</summary>
public sealed record WatchPlan
{
    /// <summary>Image file, name of a served disk, or with a control socket the disk's name at the server; null: the only one.</summary>
    public string? Path { get; init; }

    /// <summary>Control socket of a server; null: the zones are reported again and again.</summary>
    public string? Control { get; init; }

    /// <summary>Time between two reports, 100 ms to 10 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The zones to show.</summary>
    public ZoneFilter Filter { get; init; } = ZoneFilter.All;

    /// <summary>Whether to use colours.</summary>
    public ColorChoice Color { get; init; }

    /// <summary>Passphrase of an encrypted image.</summary>
    public ReadOnlyMemory<byte>? Passphrase { get; init; }
}

/// <summary>`paddock zones --watch`: a live view of the zones.</summary>
public static class WatchVerb
{
    /// <summary>Shortest and longest interval.</summary>
    public static readonly TimeSpan MinInterval = TimeSpan.FromMilliseconds(100), MaxInterval = TimeSpan.FromSeconds(10);

    /// <summary>Shows the view until the user quits.</summary>
    /// <exception cref="ToolException">No terminal, or the disk cannot be watched.</exception>
    public static async Task RunAsync(WatchPlan plan, NativeConsole console, CancellationToken cancellationToken)
    {
        if (!console.CanMoveCursor)
        {
            throw new ToolException(
                "--watch requires a terminal that can move its cursor: standard output is not a terminal, or TERM is dumb. 'paddock zones' "
                    + "without --watch prints a map, and --json a report");
        }

        await using var source = await OpenAsync(plan, console, cancellationToken);
        var model = await source.StartAsync(cancellationToken);
        var state = new WatchState(plan.Filter.On(model.Zones.Count));
        using var screen = new TerminalScreen(console);
        var glyphs = new ZoneGlyphs(console.Colors.For(plan.Color), console.Unicode);
        await new WatchLoop(model, state, glyphs, screen, TimeProvider.System).RunAsync(source, console.Input, cancellationToken);
    }

    private static async ValueTask<IZoneSource> OpenAsync(WatchPlan plan, NativeConsole console, CancellationToken cancellationToken)
    {
        if (plan.Control is { } socket)
        {
            return new FeedSource(socket, plan.Path, plan.Interval, TimeProvider.System);
        }

        string path = plan.Path!;
        IPolledDisk disk = RemoteDisk.Is(path)
            ? new RemotePoll(await NativeImage.OpenDiskAsync(path, writable: false, console, cancellationToken))
            : new FilePoll(path, plan.Passphrase);
        return new PolledSource(path, disk, plan.Interval, TimeProvider.System);
    }
}
