using System.CommandLine;
using Paddock.Tools.Native;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock gen-dhchap-key`.</summary>
internal static class KeyCommand
{
    public static Command Generate(NativeConsole console)
    {
        var hmac = new Option<int>("--hmac", "-m")
        {
            Description = "Binds the key to its owner's name: 0 not (default), 1 by SHA-256, 2 by SHA-384, 3 by SHA-512.", HelpName = "N",
        };
        var length = new Option<int?>("--key-length", "-l") { Description = "Bytes of the key: 32, 48 or 64; with --hmac those of the hash.", HelpName = "BYTES" };
        var nqn = new Option<string?>("--nqn", "-n") { Description = "With --hmac, a name that the random key is bound to before it is printed.", HelpName = "NQN" };
        var command = new Command("gen-dhchap-key", "Prints a new key for NVMe's in-band authentication (serve --dhchap-keys).") { hmac, length, nqn };
        command.SetAction(parsed => KeyVerb.Generate(parsed.GetValue(hmac), parsed.GetValue(length), parsed.GetValue(nqn), console));
        return command;
    }
}
