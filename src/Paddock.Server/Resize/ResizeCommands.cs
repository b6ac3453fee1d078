using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Resize;

/// <summary>Resizes served images and notifies every listener, whichever client changed the size.</summary>
internal sealed class ResizeCommands
{
    private const int SectorBytes = 512;

    private readonly IReadOnlyList<ServedDisk> _disks;

    public ResizeCommands(DiskSet disks, IReadOnlyList<IListener> listeners, ServeLog log)
    {
        _disks = disks;
        foreach (var disk in disks)
        {
            Follow(disk, listeners, log);
        }

        disks.Added += disk => Follow(disk, listeners, log);
    }

    /// <summary>Executes a command line.</summary>
    /// <exception cref="ToolException">
    /// Failed. The image is unchanged, or the message describes its state: the file failed half way, or the size is not possible.
    /// </exception>
    public async Task<ControlAnswer> RunAsync(ResizeLine line)
    {
        var disk = Find(_disks, line.Image);
        disk.ExpectActive();
        if (disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only");
        }

        // two concurrent "+1G" add 2G: each is relative to the size at the time it has exclusive access
        long before = 0, wanted = 0;
        try
        {
            await disk.Served.ResizeAsync(
                now =>
                {
                    before = now;
                    return wanted = WantedOf(disk, line, now);
                },
                line.Preallocation);
        }
        catch (BlockException e) when (wanted > 0)
        {
            throw new ToolException(e.Message + LeftBy(disk, before, wanted, e));
        }

        return new(
            $"{disk.Name} has {wanted} bytes ({SizeText.Human(wanted)})" + (wanted == before ? ", unchanged" : $"; previously {before}"),
            new JsonFields { { "image", disk.Name }, { "size", wanted }, { "previous_size", before } });
    }

    private static long WantedOf(ServedDisk disk, ResizeLine line, long now)
    {
        long wanted = SizeChange.Parse(line.Size).Of(now);
        return wanted % SectorBytes != 0 ? throw new ToolException($"size {wanted}: expected a multiple of {SectorBytes} bytes")
            : wanted < now && !line.Shrink
                ? throw new ToolException(
                    $"'{disk.Name}' has {now} bytes and would lose all data beyond {wanted}: specify --shrink to shrink it")
            : wanted;
    }

    // a rejected size changes nothing; an I/O error may occur half way
    private static string LeftBy(ServedDisk disk, long before, long wanted, BlockException failure)
        => disk.Device.Length != before ? $"; '{disk.Name}' now has {disk.Device.Length} bytes, which may not be durable"
            : wanted < before && failure is { Error: BlockError.Io or BlockError.NoSpace or BlockError.NoMedium } and not ZoneException
                ? $"; '{disk.Name}' still has {before} bytes, but data beyond {wanted} may be lost"
            : "";

    /// <summary>The image of a name or a path; null: the only one.</summary>
    /// <exception cref="ToolException">No image matches, or more than one does.</exception>
    private static void Follow(ServedDisk disk, IReadOnlyList<IListener> listeners, ServeLog log)
    {
        disk.Served.Resizing += length => listeners.Select(d => d.CannotResize(disk, length)).FirstOrDefault(why => why is not null);
        disk.Served.Resized += () =>
        {
            log.Write("resized", ("image", disk.Filename), ("bytes", disk.Device.Length.ToString(CultureInfo.InvariantCulture)));
            foreach (var listener in listeners)
            {
                listener.Resized(disk);
            }
        };
    }

    internal static ServedDisk Find(IReadOnlyList<ServedDisk> disks, string? image)
    {
        string names = string.Join(", ", disks.Select(d => d.Name));
        if (image is null)
        {
            return disks is [var only] ? only : throw new ToolException($"the server has several images: specify one of {names}");
        }

        // paths are unique; a name may be shared by images that are not exported over NBD
        return (disks.Where(d => d.Name == image).ToList(), disks.FirstOrDefault(d => d.Settings.Path == image)) switch
        {
            ([var named], _) => named,
            (_, { } placed) => placed,
            ([], _) => throw new ToolException($"unknown image '{image}'; expected one of {names}"),
            var (several, _) => throw new ToolException(
                $"image name '{image}' is ambiguous: specify one of the paths {string.Join(", ", several.Select(d => d.Settings.Path))}"),
        };
    }
}
