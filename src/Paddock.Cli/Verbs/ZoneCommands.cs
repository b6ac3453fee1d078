using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock zone ...` and `paddock append`.</summary>
internal static class ZoneCommands
{
    public static Command Zone(NativeConsole console) => new("zone", "Opens, closes, finishes, resets or retires zones.")
    {
        Action(ZoneAction.Open, "open", "Opens zones explicitly; they are closed when the image is closed.", console),
        Action(ZoneAction.Close, "close", "Closes open zones.", console),
        Action(ZoneAction.Finish, "finish", "Makes zones full; unwritten blocks read as zeroes.", console),
        Action(ZoneAction.Reset, "reset", "Empties zones and frees their space.", console),
        Condition(ZoneCondition.ReadOnly, "readonly", "Makes zones read-only permanently, as on a worn drive.", console),
        Condition(ZoneCondition.Offline, "offline", "Makes zones offline permanently: neither readable nor writable.", console),
        Condition(ZoneCondition.Empty, "restore", "Makes read-only and offline zones usable again.", console),
    };

    public static Command Append(NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zone = new Argument<int>("ZONE") { Description = "Zone index.", CustomParser = result => Numbers.Whole(result) ?? 0 };
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var pad = new Option<bool>("--pad") { Description = "Pads the last sector with zeroes." };
        var command = new Command("append", "Appends standard input to a zone and prints the offset of the data.")
        {
            image, zone, pad, passphrase, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await AppendVerb.RunAsync(
                parsed.GetRequiredValue(image), parsed.GetValue(zone), parsed.GetValue(pad), parsed.GetValue(json), console,
                passphrase.Read(parsed), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Read(NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zone = new Argument<int>("ZONE") { Description = "Zone index.", CustomParser = result => Numbers.Whole(result) ?? 0 };
        var offset = new Option<string?>("--offset")
        {
            Description = "Where to begin, from the start of the zone (default: 0).", HelpName = "SIZE",
        };
        var length = new Option<string?>("--length")
        {
            Description = "Bytes to read (default: up to the write pointer).", HelpName = "SIZE",
        };
        var passphrase = PassphraseOption.Create();
        var share = ForceShareOption.Create();
        var command = new Command("read", "Writes the data of a zone to standard output.")
        {
            image, zone, offset, length, passphrase, share,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            long from = parsed.GetValue(offset) is { } start ? SizeText.Parse("--offset", start) : 0;
            long? count = parsed.GetValue(length) is { } size ? SizeText.Parse("--length", size) : null;
            await ReadVerb.RunAsync(
                parsed.GetRequiredValue(image), parsed.GetValue(zone), from, count, console, passphrase.Read(parsed),
                parsed.GetValue(share), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Argument<string> Zones()
    {
        var zones = new Argument<string>("ZONES") { Description = "Zone indices, such as 0,3-5, or all." };
        zones.CompletionSources.Add("all");
        zones.Validators.Add(result =>
        {
            try
            {
                ZoneList.Parse(result.GetRequiredValue(zones), int.MaxValue);
            }
            catch (ToolException e)
            {
                result.AddError(e.Message);
            }
        });
        return zones;
    }

    private static Command Condition(ZoneCondition condition, string name, string description, NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zones = Zones();
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var command = new Command(name, description) { image, zones, passphrase, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await ZoneConditionVerb.RunAsync(
                condition, parsed.GetRequiredValue(image), parsed.GetRequiredValue(zones), parsed.GetValue(json), console,
                passphrase.Read(parsed), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Command Action(ZoneAction action, string name, string description, NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zones = Zones();
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var area = new Option<bool>("--zrwa") { Description = "Gives empty zones a random write area, which they keep." };
        var command = new Command(name, description) { image, zones, passphrase, json };
        if (action == ZoneAction.Open)
        {
            command.Add(area);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            bool allocates = action == ZoneAction.Open && parsed.GetValue(area);
            await ZoneActionVerb.RunAsync(
                allocates ? ZoneAction.OpenWithRandomArea : action, parsed.GetRequiredValue(image), parsed.GetRequiredValue(zones),
                parsed.GetValue(json), console, passphrase.Read(parsed), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
