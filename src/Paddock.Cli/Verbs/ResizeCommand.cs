using System.CommandLine;
using Paddock.Tools.Native;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock resize`.</summary>
internal static class ResizeCommand
{
    /// <summary>What help says after the options.</summary>
    public static readonly string[] Details =
    [
        "IMAGE is its name as NBD exports it (the file's name without its ending, unless the server was told another), or its path as the",
        "server was given it; where one image is served, it is not needed.",
        "",
        "SIZE is a number of bytes, or one with k, M, G, T, P or E behind it. With + or - in front: so much more or less than now.",
        "It is a multiple of 512. A zoned disk gets or loses sequential zones at its end, and its last zone may be smaller; it becomes",
        "smaller only where the zones that go, or are cut, are empty.",
        "",
        "The clients of all listeners see the change: NVMe hosts are told by an event and look again, a virtual machine is told by its",
        "configuration's change, NBD clients see it when they connect again. What grows reads as zeroes. Requests that are under way end",
        "first; those that come meanwhile wait, and fail as out of range where the disk has no such place any more.",
        "",
        "An image that is not served is resized by 'paddock img resize'.",
        "",
        "Exit codes: 0 done and durable, 1 no server answers or it refuses, 64 no size, or a mode that there is not.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var control = new Option<string>("--control") { Description = "The server's control socket (serve --control).", HelpName = "PATH", Required = true };
        var what = new Argument<string[]>("[IMAGE] SIZE")
        {
            Description = "Which image, where there are several, and its new size; see below.", Arity = new ArgumentArity(1, 2),
        };
        var shrink = new Option<bool>("--shrink") { Description = "The disk may become smaller; what is cut off is lost." };
        var preallocation = new Option<string?>("--preallocation")
        {
            Description = "What is reserved of the new part (default off).", HelpName = "off|metadata|falloc|full",
        };
        preallocation.CompletionSources.Add("off", "metadata", "falloc", "full");
        var json = new Option<bool>("--json") { Description = "Print the answer as JSON." };
        var command = new Command("resize", "Changes the size of an image that a running server serves, under its clients.")
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
