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
        var json = JsonOption.Create();
        var share = ForceShareOption.Create();
        var command = new Command("info", "Shows the format, size, features and zones of an image.") { image, share, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await InfoVerb.RunAsync(
                parsed.GetRequiredValue(image), parsed.GetValue(json), console, parsed.GetValue(share), cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    public static Command Check(NativeConsole console)
    {
        var image = Image();
        var json = JsonOption.Create();
        var share = ForceShareOption.Create();
        var repair = new Option<string?>("--repair") { Description = "What to repair (default: nothing).", HelpName = "leaks|all" };
        repair.OneOf("leaks", "all");
        var command = new Command("check", "Checks the metadata of an image, and repairs it with --repair.")
        {
            image, repair, share, json,
        };
        command.SetAction((parsed, cancellationToken) => CheckVerb.RunAsync(
            parsed.GetRequiredValue(image), Repair(parsed.GetValue(repair)), parsed.GetValue(json), console, parsed.GetValue(share),
            cancellationToken).AsTask());
        command.Validators.Add(result =>
        {
            if (result.GetValue(share) && result.GetValue(repair) is not null)
            {
                result.AddError("--force-share and --repair cannot be combined");
            }
        });
        return command;
    }

    internal static Argument<string> Image() => new("IMAGE")
    {
        Description = "Image file, rbd:POOL/IMAGE, or a disk at a server (nvme+tcp://..., nbd://...).",
    };

    private static Qcow2Repair Repair(string? word) => word switch
    {
        "all" => Qcow2Repair.All,
        "leaks" => Qcow2Repair.Leaks,
        _ => Qcow2Repair.None,
    };
}
