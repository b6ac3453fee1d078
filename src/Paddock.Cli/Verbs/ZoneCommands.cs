using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;

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

    private static Command Condition(ZoneCondition condition, string name, string description, NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zones = new Argument<string>("ZONES") { Description = "Zone indices, such as 0,3-5, or all." };
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
        var zones = new Argument<string>("ZONES") { Description = "Zone indices, such as 0,3-5, or all." };
        var passphrase = PassphraseOption.Create();
        var json = JsonOption.Create();
        var command = new Command(name, description) { image, zones, passphrase, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await ZoneActionVerb.RunAsync(
                action, parsed.GetRequiredValue(image), parsed.GetRequiredValue(zones), parsed.GetValue(json), console,
                passphrase.Read(parsed), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
