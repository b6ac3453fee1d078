using System.CommandLine;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Verbs;

/// <summary>Checks the options whose value is a size, so that all verbs reject the same values with the same words.</summary>
internal static class Sizes
{
    private const string HelpName = "SIZE";

    /// <summary>Checks every option of a command, and of the commands below it, whose value is named SIZE.</summary>
    public static void CheckIn(Command command)
    {
        foreach (var option in command.Options.OfType<Option<string?>>().Where(static o => o.HelpName == HelpName))
        {
            option.Validators.Add(result =>
            {
                try
                {
                    _ = result.Tokens is [var token] ? SizeText.Parse(option.Name, token.Value) : 0;
                }
                catch (ToolException e)
                {
                    result.AddError(e.Message);
                }
            });
        }

        foreach (var below in command.Subcommands)
        {
            CheckIn(below);
        }
    }
}
