using System.CommandLine;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock create`.</summary>
internal static class CreateCommand
{
    private static readonly Argument<string> File = new("FILE") { Description = "New image file, or rbd:POOL/IMAGE." };

    private static readonly Argument<string> Size =
        new("SIZE") { Description = "Size of the disk, in bytes or with a suffix k, M, G, T, P or E (GiB works too)." };

    private static readonly NewDiskOptions Disk = new();

    private static readonly Option<bool> Force = new("--force") { Description = "Overwrites an existing file." };

    private static readonly Option<bool> Json = JsonOption.Create();

    public static Command Build(NativeConsole console)
    {
        var command = new Command("create", "Creates a qcow2 image, zoned with --zone-size.")
        {
            File, Size,
        };
        Disk.AddTo(command);
        command.Add(Force);
        command.Add(Json);
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed, console, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, NativeConsole console, CancellationToken cancellationToken)
    {
        bool json = parsed.GetValue(Json);
        var options = Disk.Read(parsed, "SIZE", parsed.GetRequiredValue(Size), json ? console.Error : console.Out);
        string file = parsed.GetRequiredValue(File);
        options = RbdTarget.IsName(file) ? RbdSettings.Apply(options, Disk.HasClusterSize(parsed)) : options;
        try
        {
            Qcow2Image.CheckCreateOptions(options);
        }
        catch (BlockException e) when (e.Error == BlockError.InvalidArgument)
        {
            throw NewDiskOptions.Named(e);
        }

        await CreateVerb.RunAsync(file, options, parsed.GetValue(Force), json, console, cancellationToken);
        return NativeExit.Success;
    }
}
