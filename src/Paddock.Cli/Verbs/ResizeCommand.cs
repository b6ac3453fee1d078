using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock resize`.</summary>
internal static class ResizeCommand
{
    /// <summary>How the arguments are written in the usage line.</summary>
    public const string Arguments = "[IMAGE] SIZE";

    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "IMAGE is the NBD export name of the image (by default the file name without extension), or the path",
        "given to the server. It is required if the server has several images.",
        "",
        "SIZE is in bytes or has a suffix k, M, G, T, P or E; with + or - it is relative to the current size.",
        "It must be a multiple of 512. A zoned disk grows or shrinks by sequential zones at its end; the last",
        "zone may be smaller. Zones that are removed or cut must be empty.",
        "",
        "All clients see the new size: NVMe hosts and virtual machines are notified; NBD clients see it when",
        "they reconnect. New space reads as zeroes. Requests in flight are completed first; later requests",
        "wait until the size has changed, and fail if they are beyond the new end.",
        "",
        "An image that no server has open is resized with 'paddock img resize'.",
        "",
        "Exit codes: 0 success, 1 no server or command rejected, 64 unknown command or option.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var control = ControlOption.Create();
        var what = new Argument<string[]>(Arguments)
        {
            Description = "Image to resize and its new size; see below.", Arity = new ArgumentArity(1, 2),
        };
        var shrink = new Option<bool>("--shrink") { Description = "Allows shrinking; data beyond the new end is lost." };
        var preallocation = new Option<string?>("--preallocation")
        {
            Description = "Preallocation of the new space (default: off).", HelpName = "off|metadata|falloc|full",
        };
        preallocation.CompletionSources.Add("off", "metadata", "falloc", "full");
        var json = JsonOption.Create();
        var command = new Command("resize", "Resizes an image of a running server.")
        {
            control, what, shrink, preallocation, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] words = parsed.GetRequiredValue(what);
            await ResizeVerb.RunAsync(
                parsed.GetRequiredValue(control), words.Length == 2 ? words[0] : null, words[^1], parsed.GetValue(shrink),
                parsed.GetValue(preallocation), parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
