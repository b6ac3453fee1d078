using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Qcow2;

namespace Paddock.Cli.Verbs;

/// <summary>The command lines of `paddock info` and `check`.</summary>
internal static class InspectCommands
{
    public static Command Info(NativeConsole console)
    {
        var image = Image();
        var json = Json();
        var command = new Command("info", "Shows the format, size, features and zones of an image.") { image, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await InfoVerb.RunAsync(parsed.GetRequiredValue(image), parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Check(NativeConsole console)
    {
        var image = Image();
        var json = Json();
        var repair = new Option<string?>("--repair") { Description = "What to repair (default: nothing).", HelpName = "leaks|all" };
        repair.OneOf("leaks", "all");
        var command = new Command("check", "Checks the metadata of an image, and repairs it with --repair.")
        {
            image, repair, json,
        };
        command.SetAction((parsed, cancellationToken) => CheckVerb.RunAsync(
            parsed.GetRequiredValue(image), Repair(parsed.GetValue(repair)), parsed.GetValue(json), console, cancellationToken).AsTask());
        return command;
    }

    internal static Argument<string> Image() => new("IMAGE") { Description = "Image file." };

    private static Qcow2Repair Repair(string? word) => word switch
    {
        "all" => Qcow2Repair.All,
        "leaks" => Qcow2Repair.Leaks,
        _ => Qcow2Repair.None,
    };

    internal static Option<bool> Json() => new("--json") { Description = "Prints JSON." };
}
