using System.CommandLine;
using Paddock.Block;
using Paddock.Tools.Native;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock zone ...` and `paddock append`.</summary>
internal static class ZoneCommands
{
    public static Command Zone(NativeConsole console) => new("zone", "Opens, closes, finishes or resets zones; makes them read-only or offline.")
    {
        Action(ZoneAction.Open, "open", "Opens zones by request; they stay open while the image is in use.", console),
        Action(ZoneAction.Close, "close", "Closes open zones.", console),
        Action(ZoneAction.Finish, "finish", "Makes zones full; what is unwritten reads as zeroes for good.", console),
        Action(ZoneAction.Reset, "reset", "Empties zones and gives their space back.", console),
        Condition(ZoneCondition.ReadOnly, "readonly", "Makes zones read-only, as a worn drive does; the image keeps it.", console),
        Condition(ZoneCondition.Offline, "offline", "Makes zones offline: neither readable nor writable; the image keeps it.", console),
        Condition(ZoneCondition.Empty, "restore", "Gives read-only and offline zones back the condition that their pointers tell.", console),
    };

    public static Command Append(NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zone = new Argument<int>("ZONE") { Description = "Index of the zone." };
        var pad = new Option<bool>("--pad") { Description = "Fill the last sector up with zeroes." };
        var command = new Command("append", "Writes standard input at a zone's write pointer and prints where it landed.")
        {
            image, zone, pad,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await AppendVerb.RunAsync(
                parsed.GetRequiredValue(image), parsed.GetValue(zone), parsed.GetValue(pad), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Command Condition(ZoneCondition condition, string name, string description, NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zones = new Argument<string>("ZONES") { Description = "Indices such as 0,3-5, or all." };
        var command = new Command(name, description) { image, zones };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await ZoneConditionVerb.RunAsync(
                condition, parsed.GetRequiredValue(image), parsed.GetRequiredValue(zones), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    private static Command Action(ZoneAction action, string name, string description, NativeConsole console)
    {
        var image = InspectCommands.Image();
        var zones = new Argument<string>("ZONES") { Description = "Indices such as 0,3-5, or all." };
        var command = new Command(name, description) { image, zones };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await ZoneActionVerb.RunAsync(
                action, parsed.GetRequiredValue(image), parsed.GetRequiredValue(zones), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
