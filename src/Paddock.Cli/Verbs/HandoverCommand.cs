using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock handover`.</summary>
internal static class HandoverCommand
{
    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "The server rejects new requests to the image, completes those in flight, flushes, and releases it;",
        "then the command returns. Another server that was started with 'serve --standby' takes it over. NVMe",
        "hosts use their path to that server; NBD clients and virtual machines are disconnected.",
        "",
        "IMAGE is the NBD export name of the image (by default the file name without extension), or the path",
        "given to the server. Without it, all images that the server owns are handed over.",
        "",
        "If requests do not end within --drain-timeout, or the flush fails, the image is served as before.",
        "The server waits for the image again, and takes it back if nobody has taken it after 3 seconds.",
        "",
        "Exit codes: 0 released, 1 no server or not handed over, 64 unknown option.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var control = ControlOption.Create();
        var image = new Argument<string?>("IMAGE")
        {
            Description = "Image to hand over; see below.", Arity = ArgumentArity.ZeroOrOne,
        };
        var json = JsonOption.Create();
        var command = new Command("handover", "Hands an image over to another server.") { control, image, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await HandoverVerb.RunAsync(
                parsed.GetRequiredValue(control), parsed.GetValue(image), parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
