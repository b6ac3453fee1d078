using System.CommandLine;
using Paddock.Tools.Native;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock fault`.</summary>
internal static class FaultCommand
{
    /// <summary>What help says after the options.</summary>
    public static readonly string[] Details =
    [
        "Commands:",
        "  fail     a request fails: error=ERRNO (EIO unless given), status=HEX (what NVMe hosts see), ms=N (wait first)",
        "  delay    a request waits ms=N (1000 unless given) and holds up no other",
        "  hang     a request waits until 'release', 'clear', or its NVMe host's Abort",
        "  release  lets go on what rules hold: all, or id=N",
        "  clear    takes rules away: all, or id=N; what they hold goes on",
        "  status   shows the rules, what they met, and what is not flushed ('list' is the same); --json for programs",
        "  drop     ends every connection of every listener",
        "  powercut drops what was not flushed, ends every connection, opens the images anew: keep=PERCENT of the lost",
        "           sectors survive, by seed=N; hold=SECONDS before clients are taken again. Wants serve --volatile-cache",
        "  readonly, offline, restore    wear zone=N out, for good, or give it its condition back",
        "",
        "Which requests (fail, delay, hang):",
        "  command=any|read|write|append|zeroes|discard|flush|zone|open|close|finish|reset|report   (zone: open to reset)",
        "  nth=N    the first that is met, counted from now (1)       every=K   from then on each K-th (1)",
        "  count=N  how many are met, 0 for good (1)                  probability=P seed=N   met by chance, above 0 to 1",
        "  zone=N or zone=N-M, or offset=SIZE length=SIZE             only requests that touch these",
        "",
        "Which disk: image=NAME, the image's name as NBD exports it, or ns=N (and nqn=NQN), an NVMe namespace, whose offsets",
        "and zones are meant then. Where there is one image, neither is needed.",
        "",
        "Exit codes: 0 done, 1 no server answers or it refuses, 64 a word or an option that there is not.",
        "",
    ];

    public static Command Create(NativeConsole console)
    {
        var socket = new Argument<string>("SOCKET") { Description = "The server's control socket (serve --control)." };
        var what = new Argument<string[]>("WHAT") { Description = "A word and its NAME=VALUE pairs; see below.", Arity = ArgumentArity.OneOrMore };
        var json = new Option<bool>("--json") { Description = "Print the answer as JSON." };
        var command = new Command("fault", "Makes a running server fail, delay, wear out zones, drop its clients or lose its power, to test the software above it.")
        {
            socket, what, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string line = string.Join(' ', parsed.GetRequiredValue(what));
            await FaultVerb.RunAsync(parsed.GetRequiredValue(socket), line, parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
