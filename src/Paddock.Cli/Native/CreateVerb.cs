using System.Numerics;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>`paddock create`: creates a qcow2 image, zoned if a zone size is given.</summary>
public static class CreateVerb
{
    /// <summary>Creates the image; on failure no file is left behind.</summary>
    /// <param name="path">The new file; it must not exist unless <paramref name="force"/>.</param>
    /// <param name="options">Properties of the image.</param>
    /// <param name="force">Whether an existing file is overwritten.</param>
    /// <param name="json">Whether to print the summary as JSON.</param>
    /// <param name="console">Receives the summary, and a hint if Linux rejects the zone size.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask RunAsync(
        string path, Qcow2CreateOptions options, bool force, bool json, NativeConsole console,
        CancellationToken cancellationToken = default)
    {
        await CreateAsync(path, options, force, cancellationToken);
        console.Out.WriteLine(
            json ? JsonText.Readable(Fields(path, options)) : $"created '{EscapedText.Escape(path)}': {Describe(options)}");
        HintAtPowersOfTwo(options.Zoned, console);
    }

    /// <summary>Creates the image without a summary; on failure no file is left behind.</summary>
    /// <param name="path">The new file; it must not exist unless <paramref name="force"/>.</param>
    /// <param name="options">Properties of the image.</param>
    /// <param name="force">Whether an existing file is overwritten.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask CreateAsync(
        string path, Qcow2CreateOptions options, bool force, CancellationToken cancellationToken = default)
    {
        if (RbdTarget.IsName(path))
        {
            await CreateInRbdAsync(path, options, force, cancellationToken);
            return;
        }

        bool existed = FileIdentity.IsTaken(path);
        if (existed && !force)
        {
            throw new ToolException($"'{path}' exists; choose another name, or overwrite it with --force");
        }

        // an invalid option must not destroy an existing file
        Qcow2Image.CheckCreateOptions(options);
        var storage = NativeImage.OpenFile(new FileOpenOptions { Path = path, Create = true, Lock = ImageLock.Write });
        try
        {
            await Qcow2Image.CreateAsync(storage, options, cancellationToken);
        }
        catch when (!existed)
        {
            FileNames.Delete(path);
            throw;
        }
        finally
        {
            await storage.DisposeAsync();
        }
    }

    private static async ValueTask CreateInRbdAsync(
        string name, Qcow2CreateOptions options, bool force, CancellationToken cancellationToken)
    {
        Qcow2Image.CheckCreateOptions(options);
        IStorage storage;
        bool existed = false;
        try
        {
            storage = await RemoteStorage.CreateRbdAsync(name, options.Preallocation == Preallocation.Off ? 0 : RbdSettings.Room(options));
        }
        catch (BlockException e) when (e.Error == BlockError.AlreadyExists)
        {
            existed = true;
            storage = force ? await RbdDriver.OpenAsync(RbdDriver.Parse(name), readOnly: false)
                : throw new ToolException($"'{name}' exists; choose another name, or overwrite it with --force", inner: e);
        }

        try
        {
            var filled = new NewImageStorage(storage);
            await Qcow2Image.CreateAsync(existed ? storage : filled, options, cancellationToken);
            await storage.FlushAsync(cancellationToken);
            await (existed ? default : filled.FinishAsync(cancellationToken));
            await storage.DisposeAsync();
        }
        catch
        {
            await storage.DisposeAsync();
            if (!existed)
            {
                await RemoteStorage.RemoveRbdAsync(name);
            }

            throw;
        }
    }

    private static JsonFields Fields(string path, Qcow2CreateOptions options)
    {
        var fields = new JsonFields
        {
            { "image", path }, { "format", "qcow2" }, { "size", options.Size }, { "cluster_size", options.ClusterSize },
        };
        if (options.Zoned is not { } zoned)
        {
            return fields;
        }

        var zones = new JsonFields
        {
            { "layout", zoned.Layout.ToString() }, { "zone_size", zoned.ZoneSize },
            { "zone_capacity", zoned.ZoneCapacity ?? zoned.ZoneSize }, { "zone_count", ZonesOf(options.Size, zoned) },
            { "conventional_zones", zoned.ConventionalZones }, { "max_open_zones", zoned.MaxOpenZones },
            { "max_active_zones", zoned.MaxActiveZones }, { "max_append_bytes", zoned.MaxAppendBytes },
        };
        zones.AddRange(InfoVerb.AreaFields(AreaOf(zoned)));
        return fields.With("zoned", zones);
    }

    // the image stores the limit of active zones if no other is given
    private static RandomAreaLimits AreaOf(ZonedCreateOptions zoned)
        => zoned.RandomArea with { MaxZones = zoned.RandomArea.MaxZones == 0 ? zoned.MaxActiveZones : zoned.RandomArea.MaxZones };

    // the image is valid, and other systems take it
    private static void HintAtPowersOfTwo(ZonedCreateOptions? zoned, NativeConsole console)
    {
        if (zoned is null || long.IsPow2(zoned.ZoneSize))
        {
            return;
        }

        long above = (long)BitOperations.RoundUpToPowerOf2((ulong)zoned.ZoneSize);
        console.Tell($"hint: Linux rejects zones of {SizeText.Human(zoned.ZoneSize)}, whose size is not a power of two; "
            + $"--zone-size {SizeText.Argument(above)} --zone-capacity {SizeText.Argument(zoned.ZoneCapacity ?? zoned.ZoneSize)} "
            + "makes zones of the same capacity that it accepts");
    }

    private static long ZonesOf(long size, ZonedCreateOptions zoned) => (size + zoned.ZoneSize - 1) / zoned.ZoneSize;

    private static string Describe(Qcow2CreateOptions options)
    {
        if (options.Zoned is not { } zoned)
        {
            return $"{SizeText.Human(options.Size)}, no zones";
        }

        string conventional = zoned.ConventionalZones == 0 ? "" : $", the first {zoned.ConventionalZones} conventional";
        return $"{SizeText.Human(options.Size)}, {ZonesOf(options.Size, zoned)} zones of {SizeText.Human(zoned.ZoneSize)}{conventional}"
            + (zoned.RandomArea.Size == 0 ? "" : $", random write areas of {SizeText.Human(zoned.RandomArea.Size)}");
    }
}
