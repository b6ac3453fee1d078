using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>rebase</c>: gives an overlay another backing file.</summary>
internal static class RebaseCommand
{
    // what the peer knows by name: an image may name what only other programs can open
    private static readonly string[] Formats = ["raw", "qcow2", "luks", "file", "host_device", "nbd", "null-co", "null-aio", "blkdebug",
        "blkverify", "quorum", "throttle", "copy-on-read", "preallocate", "compress", "qcow", "qed", "vdi", "vmdk", "vpc", "vhdx",
        "parallels", "bochs", "cloop", "dmg", "vvfat", "http", "https", "ftp", "ftps", "ssh", "rbd", "iscsi", "gluster", "nfs", "nvme",
        "host_cdrom", "replication", "snapshot-access", "io_uring", "nvme-io_uring", "virtio-blk-vfio-pci", "virtio-blk-vhost-user",
        "virtio-blk-vhost-vdpa"];

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " quiet progress force-share", new('t', "cache", true), new('b', "backing", true),
            new('F', "backing-format", true), new('T', "backing-cache", true), new('u', "backing-unsafe", false),
            new('c', "compress", false));
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        if (!given.Has("u") && given["b"] is null)
        {
            throw new UsageException("Must specify backing file (-b) or use unsafe mode (-u)");
        }

        ImageOpener.CheckCache(given["t"]);
        ImageOpener.CheckSourceCache(given["T"]);
        var opener = new ImageOpener(ctx.Program, ctx.Error);
        var settings = given.Settings(readOnly: false) with { Cache = given["t"], ForceShare = false, NoBacking = given.Has("u") };
        var progress = given.Has("p") && !given.Has("q") ? new CopyProgress(ctx) : null;
        progress?.Show(0, 0);
        try
        {
            var node = await opener.OpenAsync(given.Operands[0], settings, given.Has("image-opts"));
            await node.UseAsync(() => RebaseAsync(node, given, opener, progress));
        }
        catch
        {
            progress?.Break();
            throw;
        }

        progress?.End();
        return 0;
    }

    private static async ValueTask RebaseAsync(ImageNode node, ImgArguments given, ImageOpener opener, CopyProgress? progress)
    {
        if (given.Has("c") && node.Qcow2 is null)
        {
            throw new ToolException("Compression not supported for this file format");
        }

        string? format = given["F"];
        if (format is not null && !Formats.Contains(format))
        {
            throw new ToolException($"Invalid format name: '{format}'");
        }

        string? name = given["b"] is { Length: > 0 } named ? named : null;
        if (!given.Has("u"))
        {
            await CopyAsync(node, name, given, opener, progress);
        }

        await SetBackingAsync(node, name, format);
    }

    private static async ValueTask CopyAsync(
        ImageNode node, string? name, ImgArguments given, ImageOpener opener, CopyProgress? progress)
    {
        if (name is null)
        {
            await CopyAsync(node, null, given, progress);
            return;
        }

        string path = BackingName.Resolve(name, node.Storage.Name);
        if (CommitBase.Find(node, path, given["F"]) is { } inChain)
        {
            await CopyAsync(node, inChain, given, progress);
            return;
        }

        ImageNode next;
        try
        {
            next = await opener.OpenBareAsync(
                path,
                new OpenSettings { Format = given["F"], ForceShare = given.Has("U"), Cache = given["T"], Objects = given.All("object") });
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"Could not open new backing file '{EscapedText.Escape(name)}': {e.Message}", inner: e);
        }

        await next.UseAsync(() => CopyAsync(node, next, given, progress));
    }

    private static async ValueTask CopyAsync(ImageNode node, ImageNode? next, ImgArguments given, CopyProgress? progress)
    {
        RequireChangeable(node, given["b"], given["F"]);
        if (next is not null)
        {
            RequireZones(node, next);
        }

        if (given.Has("c") && node.Device.Zones is not null)
        {
            throw new ToolException("a zoned image takes no compressed data");
        }

        await new RebaseWork(node, node.Backing, next, given.Has("c")).RunAsync(progress is null ? null : progress.Show);
    }

    private static void RequireZones(ImageNode node, ImageNode next)
    {
        ZoneChain.RequireSame(node.Device.Zones, next.Device, next.Filename);
        if (node.Device.Zones is null && next.Device.Zones is not null)
        {
            throw new ToolException(
                $"'{EscapedText.Escape(next.Filename)}' has zones and '{EscapedText.Escape(node.Filename)}' has none: make an overlay with "
                    + "'create -b'");
        }
    }

    // known before anything is written, unlike in QEMU
    private static void RequireChangeable(ImageNode node, string? name, string? format)
    {
        if (name is { Length: > 0 } && format is null)
        {
            throw Failed(name, "backing format must be specified");
        }

        if (node.Qcow2 is null)
        {
            throw Failed(name, "Operation not supported");
        }
    }

    private static async ValueTask SetBackingAsync(ImageNode node, string? name, string? format)
    {
        RequireChangeable(node, name, format);
        try
        {
            await node.Qcow2!.SetBackingFileAsync(name, name is null ? null : format);
        }
        catch (BlockException e)
        {
            throw Failed(name, e.Error == BlockError.NoSpace ? "No space left in the file header" : ErrorText.Of(e));
        }
    }

    private static ToolException Failed(string? name, string why)
        => new($"Could not change the backing file to '{EscapedText.Escape(name ?? "")}': {why}");
}
