using System.CommandLine;
using Paddock.Cli.Native;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock gen-dhchap-key`.</summary>
internal static class KeyCommand
{
    public static Command Generate(NativeConsole console)
    {
        var hmac = new Option<int>("--hmac", "-m")
        {
            Description = "Transformation: 0 none, 1 SHA-256, 2 SHA-384, 3 SHA-512 (default: 0).", HelpName = "N",
            CustomParser = result => Numbers.Whole(result) ?? 0,
        };
        var length = new Option<int?>("--key-length", "-l")
        {
            Description = "Key length: 32, 48 or 64 (default: 32, with --hmac the hash length).", HelpName = "BYTES",
                CustomParser = Numbers.Whole,
        };
        var nqn = new Option<string?>("--nqn", "-n")
        {
            Description = "NQN that the key is transformed for (with --hmac 1, 2 or 3).", HelpName = "NQN",
        };
        var json = JsonOption.Create();
        var command = new Command(
            "gen-dhchap-key", "Generates a key for NVMe in-band authentication (serve --dhchap-keys).") { hmac, length, nqn, json };
        command.SetAction(parsed => KeyVerb.Generate(
            parsed.GetValue(hmac), parsed.GetValue(length), parsed.GetValue(nqn), parsed.GetValue(json), console));
        return command;
    }
}
