using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock zones`.</summary>
internal static class ZonesCommand
{
    public static Command Build(NativeConsole console)
    {
        var image = InspectCommands.Image();
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
        var command = new Command("zones", "Shows a map of the zones of an image.")
        {
            image, table, range, state, color, passphrase, share, json,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(table) && result.GetValue(json))
            {
                result.AddError("--table and --json cannot be combined");
            }
        });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var plan = new ZonesPlan
            {
                Path = parsed.GetRequiredValue(image),
                View = parsed.GetValue(json) ? ZonesView.Json : parsed.GetValue(table) ? ZonesView.Table : ZonesView.Map,
                Filter = ZoneFilter.Parse(parsed.GetValue(range), parsed.GetValue(state)),
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
