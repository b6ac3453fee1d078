using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Cli.Native.Watch;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock zones`.</summary>
internal static class ZonesCommand
{
    public static readonly string[] Details =
    [
        "A cell of the map is a zone, or several on a large disk: = conventional, . empty, i implicitly open,",
        "e explicitly open, c closed, # full, r read-only, x offline. On a terminal with colours, the colour",
        "is the state, and the height of a block how far the zone is written. NO_COLOR, CLICOLOR_FORCE and",
        "TERM decide about colours unless --color does.",
        "",
        "--watch follows a server's disk through its control socket, with requests and latencies; a drive by",
        "its name, or an image file, by reports of its zones. Keys: arrows, Enter and Esc to zoom, s to sort,",
        "f to filter, space to pause, ? for help, q to quit.",
        "",
    ];

    public static Command Build(NativeConsole console)
    {
        var image = new Argument<string?>("IMAGE")
        {
            Description = "Image file, rbd:POOL/IMAGE, nvme+tcp://HOST:PORT/NQN; with --control the name of a disk.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var json = JsonOption.Create();
        var passphrase = PassphraseOption.Create();
        var table = new Option<bool>("--table") { Description = "Prints one line per zone." };
        var range = new Option<string?>("--range") { Description = "Zones to show (default: all).", HelpName = "FIRST-LAST" };
        var state = new Option<string?>("--state")
        {
            Description = "States to show, such as full or open,closed (default: all).", HelpName = "STATE,...",
        };
        state.CompletionSources.Add([.. ZoneFilter.StateWords]);
        var color = Color();
        var share = ForceShareOption.Create();
        var watch = new Option<bool>("--watch") { Description = "Shows a live view on the terminal; '?' lists its keys." };
        var interval = Durations.Create(
            "--interval", "Time between two reports to --watch, 100ms to 10s (default: 500ms).", WatchVerb.MinInterval,
            WatchVerb.MaxInterval, "from 100ms to 10s");
        var control = new Option<string?>("--control")
        {
            Description = "Control socket of the server whose disk --watch shows.", HelpName = "SOCKET",
        };
        var command = new Command("zones", "Shows the zones of an image: a map, a table, JSON or a live view.")
        {
            image, watch, interval, control, table, range, state, color, passphrase, share, json,
        };
        command.Validators.Add(result =>
        {
            bool watches = result.GetValue(watch), hasControl = result.GetResult(control) is { Implicit: false };
            string? error = result.GetValue(table) && result.GetValue(json) ? "--table and --json cannot be combined"
                : watches && result.GetValue(table) ? "--watch and --table cannot be combined"
                : watches && result.GetValue(json) ? "--watch and --json cannot be combined"
                : !watches && hasControl ? "--control requires --watch"
                : !watches && result.GetResult(interval) is { Implicit: false } ? "--interval requires --watch"
                : !hasControl && result.GetResult(image) is not { Tokens.Count: > 0 } ? "missing IMAGE" : null;
            if (error is not null)
            {
                result.AddError(error);
            }
        });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var filter = ZoneFilter.Parse(parsed.GetValue(range), parsed.GetValue(state));
            if (parsed.GetValue(watch))
            {
                var watched = new WatchPlan
                {
                    Path = parsed.GetValue(image),
                    Control = parsed.GetValue(control),
                    Filter = filter,
                    Color = ColorOf(parsed.GetValue(color)),
                    Passphrase = passphrase.Read(parsed),
                };
                watched = parsed.GetValue(interval) is { } time ? watched with { Interval = time } : watched;
                await WatchVerb.RunAsync(watched, console, cancellationToken);
                return NativeExit.Success;
            }

            var plan = new ZonesPlan
            {
                Path = parsed.GetValue(image)!,
                View = parsed.GetValue(json) ? ZonesView.Json : parsed.GetValue(table) ? ZonesView.Table : ZonesView.Map,
                Filter = filter,
                Color = ColorOf(parsed.GetValue(color)),
                Passphrase = passphrase.Read(parsed),
                ForceShare = parsed.GetValue(share),
            };
            await ZonesVerb.RunAsync(plan, console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Option<string?> Color()
    {
        var color = new Option<string?>("--color") { HelpName = "WHEN" }.OneOf("always", "never", "auto");
        color.Description = "Colours: always, never or auto (default: auto; NO_COLOR is respected).";
        return color;
    }

    private static ColorChoice ColorOf(string? word) => word switch
    {
        "always" => ColorChoice.Always,
        "never" => ColorChoice.Never,
        _ => ColorChoice.Auto,
    };
}
