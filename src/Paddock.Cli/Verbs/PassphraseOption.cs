using System.CommandLine;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The option <c>--passphrase-file</c> of commands that open encrypted images.</summary>
internal sealed class PassphraseOption()
    : Option<string?>("--passphrase-file")
{
    /// <summary>Creates the option.</summary>
    public static PassphraseOption Create() => new()
    {
        Description = "Passphrase of encrypted images (default: they are rejected).", HelpName = "FILE",
    };

    /// <summary>The passphrase; null without the option.</summary>
    /// <exception cref="ToolException">The file cannot be read, or is accessible by others.</exception>
    public ReadOnlyMemory<byte>? Read(ParseResult parsed) => PassphraseFile.Read(parsed.GetValue(this));
}
