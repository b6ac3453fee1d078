using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Server;
using Paddock.Server.Control;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock fault`.</summary>
internal static class FaultCommand
{
    /// <summary>Help text after the options.</summary>
    public static readonly string[] Details =
    [
        "Commands:",
        "  fail      rejects requests: error=ERRNO (default: EIO), status=HEX (for NVMe hosts), ms=N (delay)",
        "  delay     delays requests by ms=N (default: 1000)",
        "  hang      holds requests until 'release', 'clear' or an Abort by the NVMe host",
        "  release   resumes requests held by a rule: id=N (default: all rules)",
        "  clear     removes a rule and resumes the requests it holds: id=N (default: all rules)",
        "  status    shows the rules, their matches and the unflushed data; 'list' is an alias",
        "  drop      closes every connection of every listener",
        "  powercut  drops unflushed data, closes every connection and reopens the images; requires",
        "            serve --volatile-cache: keep=PERCENT of the unflushed sectors, chosen by seed=N,",
        "            survive (default: 0); hold=SECONDS until clients are accepted again (default: 0)",
        "  readonly, offline, restore",
        "            make zone N read-only or offline permanently, or restore it: zone=N",
        "",
        "Requests that fail, delay and hang apply to (default: the next request):",
        "  command=any|read|write|append|zeroes|discard|flush|zone|open|close|finish|reset|report",
        "            kind of request; zone: open, close, finish or reset (default: any)",
        "  nth=N     first matching request, counted from now (default: 1)",
        "  every=K   every K-th matching request after that (default: 1)",
        "  count=N   number of requests, 0: unlimited (default: 1)",
        "  probability=P seed=N",
        "            random choice with a probability above 0, up to 1 (default: 1)",
        "  zone=N, zone=N-M or offset=SIZE length=SIZE",
        "            only requests that overlap these zones or bytes",
        "",
        "Disk (required if the server has several images):",
        "  image=NAME     NBD export name of the image",
        "  ns=N nqn=NQN   NVMe namespace; offsets and zones are those of the namespace",
        "",
        "Exit codes: 0 success, 1 no server or command rejected, 64 unknown command or option.",
        "",
    ];

    /// <summary>What the commands and their options are for, in completions.</summary>
    public static readonly IReadOnlyDictionary<string, string> Meanings = new Dictionary<string, string>
    {
        ["fail"] = "rejects requests",
        ["delay"] = "delays requests",
        ["hang"] = "holds requests",
        ["release"] = "resumes held requests",
        ["clear"] = "removes rules",
        ["status"] = "shows the rules",
        ["drop"] = "closes every connection",
        ["powercut"] = "drops unflushed data and reopens the images",
        ["readonly"] = "makes a zone read-only",
        ["offline"] = "makes a zone offline",
        ["restore"] = "makes a zone usable again",
        ["image="] = "NBD export name of the image",
        ["ns="] = "NVMe namespace",
        ["nqn="] = "NVMe subsystem",
        ["command="] = "kind of request",
        ["nth="] = "first matching request",
        ["every="] = "every K-th request after that",
        ["count="] = "number of requests, 0: unlimited",
        ["probability="] = "random choice, above 0 and up to 1",
        ["seed="] = "seed of the random choice",
        ["zone="] = "zone or range of zones",
        ["offset="] = "first byte",
        ["length="] = "bytes",
        ["error="] = "error to report",
        ["status="] = "NVMe status to report, in hexadecimal",
        ["ms="] = "delay in milliseconds",
        ["id="] = "number of the rule",
        ["keep="] = "percentage of unflushed sectors that survive",
        ["hold="] = "seconds until clients are accepted again",
    };

    public static Command Create(NativeConsole console)
    {
        var socket = new Argument<string>("SOCKET") { Description = "Control socket of the server (serve --control)." };
        var what = new Argument<string[]>(
            "COMMAND") { Description = "Command and its NAME=VALUE pairs; see below.", Arity = ArgumentArity.OneOrMore };
        var control = new Option<bool>("--control") { Description = "Accepted before SOCKET, as in other verbs." };
        var json = JsonOption.Create();
        var command = new Command("fault", "Injects faults into a running server, to test its clients.")
        {
            socket, what, control, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string line = string.Join(' ', parsed.GetRequiredValue(what).Select(Escaped));
            await FaultVerb.RunAsync(parsed.GetRequiredValue(socket), line, parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }

    // an argument that is one pair may have blanks in its value; others may be several words of the line
    private static string Escaped(string word)
        => word.Split('=') is [{ Length: > 0 } name, var value] && name.All(char.IsAsciiLetter) && value.Any(char.IsWhiteSpace)
            ? ControlLine.Pair(name, value) : word;
}
