using System.Globalization;
using Paddock.Block;
using Paddock.Tools.Native;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve.Resize;

/// <summary>Changes the sizes of images that are served, and sees to it that every listener knows, whoever changed them.</summary>
internal sealed class ResizeCommands
{
    private const int SectorBytes = 512;

    private readonly IReadOnlyList<ServedDisk> _disks;

    public ResizeCommands(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, ServeLog log)
    {
        _disks = disks;
        foreach (var disk in disks)
        {
            disk.Served.Resizing += length => listeners.Select(d => d.CannotResize(disk, length)).FirstOrDefault(why => why is not null);
            disk.Served.Resized += () =>
            {
                log.Write("resized", ("image", disk.Node.Filename), ("bytes", disk.Device.Length.ToString(CultureInfo.InvariantCulture)));
                foreach (var listener in listeners)
                {
                    listener.Resized(disk);
                }
            };
        }
    }

    /// <summary>Runs a line.</summary>
    /// <returns>What was done, in words.</returns>
    /// <exception cref="ToolException">
    /// It cannot be done. The image is as it was, or the message says what became of it: its file failed half way, or it takes no such size.
    /// </exception>
    public async Task<string> RunAsync(ResizeLine line)
    {
        var disk = Find(line.Image);
        if (disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only");
        }

        // "+1G" twice at the same time is 2G: both are counted from what is there when nobody else can change it
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

        return $"{disk.Name} has {wanted} bytes ({SizeText.Human(wanted)})" + (wanted == before ? ", as before" : $"; it had {before}");
    }

    private static long WantedOf(ServedDisk disk, ResizeLine line, long now)
    {
        long wanted = SizeChange.Parse(line.Size).Of(now);
        return wanted % SectorBytes != 0 ? throw new ToolException($"a size of {wanted} bytes: a disk has whole sectors of {SectorBytes} bytes")
            : wanted < now && !line.Shrink
                ? throw new ToolException($"'{disk.Name}' has {now} bytes, and loses what lies behind {wanted}: give --shrink if that is meant")
            : wanted;
    }

    // a refusal comes before anything is done; a failure may come in the middle
    private static string LeftBy(ServedDisk disk, long before, long wanted, BlockException failure)
        => disk.Device.Length != before ? $"; '{disk.Name}' has {disk.Device.Length} bytes now, perhaps not durably"
            : wanted < before && failure is { Error: BlockError.Io or BlockError.NoSpace or BlockError.NoMedium } and not ZoneException
                ? $"; '{disk.Name}' still has {before} bytes, but what lies behind {wanted} may be gone"
            : "";

    private ServedDisk Find(string? image)
    {
        string names = string.Join(", ", _disks.Select(d => d.Name));
        if (image is null)
        {
            return _disks is [var only] ? only : throw new ToolException($"there are several images: say which, of {names}");
        }

        // a path is of one image; a name may be of several that have listeners of their own
        return (_disks.Where(d => d.Name == image).ToList(), _disks.FirstOrDefault(d => d.Settings.Path == image)) switch
        {
            ([var named], _) => named,
            (_, { } placed) => placed,
            ([], _) => throw new ToolException($"there is no image '{image}': there are {names}"),
            var (several, _) => throw new ToolException(
                $"several images are called '{image}': say which by its path, of {string.Join(", ", several.Select(d => d.Settings.Path))}"),
        };
    }
}
