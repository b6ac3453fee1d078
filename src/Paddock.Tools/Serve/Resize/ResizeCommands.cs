using System.Globalization;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Tools.Native;
using Paddock.Tools.Serve.Doors;

namespace Paddock.Tools.Serve.Resize;

/// <summary>Changes the sizes of images that are served, and sees to it that every door knows, whoever changed them.</summary>
internal sealed class ResizeCommands
{
    private const int SectorBytes = 512;

    private readonly IReadOnlyList<ServedDisk> _disks;
    private readonly AsyncMutex _busy = new();

    public ResizeCommands(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IDoor> doors, ServeLog log)
    {
        _disks = disks;
        foreach (var disk in disks)
        {
            disk.Resizable.Objection = length => doors.Select(d => d.CannotResize(disk, length)).FirstOrDefault(why => why is not null);
            disk.Resizable.Resized += () =>
            {
                log.Write("resized", ("image", disk.Node.Filename), ("bytes", disk.Device.Length.ToString(CultureInfo.InvariantCulture)));
                foreach (var door in doors)
                {
                    door.Resized(disk);
                }
            };
        }
    }

    /// <summary>Runs a line.</summary>
    /// <returns>What was done, in words.</returns>
    /// <exception cref="ToolException">It cannot be done; the image is as it was.</exception>
    /// <exception cref="BlockException">The same, or the image's file failed.</exception>
    public async Task<string> RunAsync(ResizeLine line)
    {
        var disk = Find(line.Image);

        // "+1G" twice at the same time is 2G
        await _busy.AcquireAsync();
        try
        {
            return await ResizeAsync(disk, line);
        }
        finally
        {
            _busy.Release();
        }
    }

    private static async Task<string> ResizeAsync(ServedDisk disk, ResizeLine line)
    {
        long before = disk.Device.Length, wanted = SizeChange.Parse(line.Size).Of(before);
        if (disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only");
        }

        if (wanted % SectorBytes != 0)
        {
            throw new ToolException($"a size of {wanted} bytes: a disk has whole sectors of {SectorBytes} bytes");
        }

        if (wanted < before && !line.Shrink)
        {
            throw new ToolException($"'{disk.Name}' has {before} bytes, and loses what lies behind {wanted}: give --shrink if that is meant");
        }

        if (wanted != before)
        {
            await disk.Resizable.ResizeAsync(wanted, line.Preallocation);
        }

        long after = disk.Device.Length;
        return after == wanted ? $"{disk.Name} has {after} bytes ({SizeText.Human(after)})" + (wanted == before ? ", as before" : $"; it had {before}")
            : throw new ToolException($"'{disk.Name}' has {after} bytes now, not {wanted}");
    }

    private ServedDisk Find(string? image)
    {
        string names = string.Join(", ", _disks.Select(d => d.Name));
        return image is null
            ? _disks is [var only] ? only : throw new ToolException($"there are several images: say which, of {names}")
            : _disks.FirstOrDefault(d => d.Name == image) ?? _disks.FirstOrDefault(d => d.Settings.Path == image)
                ?? throw new ToolException($"there is no image '{image}': there are {names}");
    }
}
