using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock create`.</summary>
internal static class CreateCommand
{
    private static readonly Argument<string> File = new("FILE") { Description = "New image file." };

    private static readonly Argument<string> Size =
        new("SIZE") { Description = "Size of the disk, in bytes or with a suffix k, M, G, T, P or E." };

    private static readonly NewDiskOptions Disk = new();

    private static readonly Option<bool> Force = new("--force") { Description = "Overwrites an existing file." };

    public static Command Build(NativeConsole console)
    {
        var command = new Command("create", "Creates a qcow2 image, zoned with --zone-size.")
        {
            File, Size,
        };
        Disk.AddTo(command);
        command.Add(Force);
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed, console, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, NativeConsole console, CancellationToken cancellationToken)
    {
        var options = Disk.Read(parsed, "SIZE", parsed.GetRequiredValue(Size), console);
        try
        {
            await CreateVerb.RunAsync(parsed.GetRequiredValue(File), options, parsed.GetValue(Force), console, cancellationToken);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument)
        {
            throw NewDiskOptions.Named(e);
        }

        return NativeExit.Success;
    }
}
