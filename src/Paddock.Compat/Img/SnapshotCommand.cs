using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Compat.Img;

/// <summary><c>snapshot</c>: lists, takes, deletes and applies internal snapshots.</summary>
internal static class SnapshotCommand
{
    private static readonly string[] Actions = ["l", "a", "c", "d"];

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " quiet force-share",
            new('l', "list", false), new('a', "apply", true), new('c', "create", true), new('d', "delete", true));
        if (Actions.Sum(a => given.All(a).Count) > 1)
        {
            throw new UsageException("Cannot mix '-l', '-a', '-c', '-d'");
        }

        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        string? action = Actions.FirstOrDefault(given.Has);
        bool lists = action is null or "l";
        var opener = new ImageOpener(ctx.Program, ctx.Error);
        var settings = given.Settings(readOnly: lists);
        var node = await opener.OpenAsync(given.Operands[0], settings, given.Has("image-opts"));
        await using var closing = new NodeClosing(node, ctx);
        if (lists)
        {
            foreach (string line in SnapshotList.Lines(node.Qcow2?.Snapshots.List ?? []))
            {
                ctx.Line(line);
            }

            return 0;
        }

        await ChangeAsync(node.Qcow2?.Snapshots, action!, given[action!]!, ctx);
        closing.IsExpected = true;
        return 0;
    }

    private static async ValueTask ChangeAsync(IQcow2Snapshots? snapshots, string action, string name, ToolContext ctx)
    {
        string verb = action switch { "a" => "apply", "c" => "create", _ => "delete" };
        try
        {
            switch (action)
            {
                case "a":
                    await ApplyAsync(snapshots, name, ctx);
                    break;
                case "c":
                    await (snapshots ?? throw new BlockException(BlockError.NotSupported, "the format has no internal snapshots"))
                        .CreateAsync(name, ctx.Time.GetUtcNow());
                    break;
                default:
                    // an ID does not do here
                    var found = snapshots?.List.FirstOrDefault(s => s.Name == name) ?? throw new ToolException("snapshot not found");
                    await snapshots.DeleteAsync(found);
                    break;
            }
        }
        catch (Exception e) when (e is BlockException or ToolException)
        {
            string why = e switch
            {
                BlockException failure when action == "c" => ErrorText.Of(failure),
                SnapshotFreeException failure => $"Failed to free the cluster and L1 table: {ErrorText.Of(failure)}",
                _ => e.Message,
            };
            throw new ToolException($"Could not {verb} snapshot '{name}': {why}", inner: e);
        }
    }

    private static async ValueTask ApplyAsync(IQcow2Snapshots? snapshots, string name, ToolContext ctx)
    {
        if (snapshots is null)
        {
            throw new ToolException("Block driver does not support snapshots");
        }

        try
        {
            var found = SnapshotText.Find(snapshots.List, name) ?? throw new BlockException(BlockError.NotFound, "no such snapshot");
            await snapshots.ApplyAsync(found);
        }
        catch (BlockException e)
        {
            if (e is SnapshotL1Exception)
            {
                ctx.Report(e.Message);
            }

            throw new ToolException($"Failed to load snapshot: {ErrorText.Of(e)}", inner: e);
        }
    }
}
