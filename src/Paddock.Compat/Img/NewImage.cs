using Paddock.Block;
using Paddock.Crypto;
using Paddock.Crypto.Luks;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Rbd;

namespace Paddock.Compat.Img;

/// <summary>Makes the file of a new image. Everything that can be refused is refused before a file that exists is touched.</summary>
internal static class NewImage
{
    /// <summary>Refuses a format that there is not.</summary>
    public static void RequireFormat(string format)
    {
        if (format is "bochs" or "cloop" or "dmg" or "vvfat" or "blkdebug" or "blkverify" or "quorum" or "null-co" or "null-aio"
            or "throttle" or "copy-on-read" or "compress" or "preallocate")
        {
            throw new ToolException($"Format driver '{format}' does not support image creation");
        }

        if (format is not ("raw" or "qcow2" or FormatProbe.Luks))
        {
            throw new ToolException($"Unknown file format '{format}'");
        }
    }

    /// <summary>Refuses options that make no image; nothing is opened for it.</summary>
    public static void Check(string format, CreateOptions options, long size, ZoneClone? clone = null)
    {
        RequireFormat(format);
        _ = options.ExtentSizeHint;
        if (format == "raw")
        {
            CheckRaw(options["preallocation"]);
            return;
        }

        if (format == FormatProbe.Luks)
        {
            _ = PreallocationName.Parse(options["preallocation"])
                ?? throw new ToolException($"invalid parameter value: {options["preallocation"]}");
            LuksFormat.HeaderBytes(EncryptionCreate.ForLuks(options));
            return;
        }

        var image = options.ToQcow2(size);
        if (clone is not null)
        {
            image = clone.Apply(image);
        }
        else if (options.IsZoned && options["backing_file"] is { } backing)
        {
            throw new ToolException(
                $"a zoned image takes over the zones of its backing file, and those of '{backing}' are not known: it has none, or was not "
                    + "opened");
        }

        Qcow2Image.CheckCreateOptions(image);
    }

    /// <summary>Refuses a target that is one of the files that the command reads.</summary>
    public static void RequireOther(string target, string source)
    {
        if (Path(target) is { } to && Path(source) is { } from && FileIdentity.IsSameFile(to, from))
        {
            throw new ToolException($"'{target}' is the same file as '{source}', which would be lost");
        }
    }

    /// <summary>
    /// Makes the file. When that fails, a file that existed keeps its contents where nothing could be written, and no new one is left.
    /// </summary>
    /// <returns>Whether the new image is known to read as zeroes.</returns>
    public static async ValueTask<bool> MakeAsync(
        string format, string name, CreateOptions options, long size, Action<string>? warn = null, ZoneClone? clone = null)
    {
        Check(format, options, size, clone);
        var qcow2 = format == "qcow2" ? options.ToQcow2(size) : null;
        qcow2 = qcow2 is null || clone is null ? qcow2 : clone.Apply(qcow2);
        var luks = format == FormatProbe.Luks ? EncryptionCreate.ForLuks(options) : null;
        if (await NbdNode.TryOpenAsync(name, new QDict(), null, new OpenSettings { ReadOnly = false }) is { } remote)
        {
            await using var there = remote.Storage;
            await (luks is not null ? MakeLuksAsync(there, luks, size, options)
                : qcow2 is null ? there.SetLengthAsync(WholeSectors(size)) : FormatAsync(there, qcow2));
            return qcow2 is { Preallocation: Preallocation.Off };
        }

        if (RbdTarget.IsName(name))
        {
            return await MakeRbdAsync(name, qcow2, luks, size, options, clone);
        }

        if (NvmeName.Is(name))
        {
            throw new ToolException("a remote drive cannot be created: use convert -n to write to it");
        }

        string path = ImageOpener.PathOf(name);
        bool isNew = !FileIdentity.IsTaken(path);
        await using var storage = ImageOpener.OpenFile(path, readOnly: false, create: true);
        try
        {
            await HintAsync(storage, options, warn);
            if (qcow2?.DataFile is { } dataFile)
            {
                bool isZero = await FormatAsync(storage, path, ImageOpener.PathOf(dataFile), qcow2);
                await (clone?.FinishAsync(storage, qcow2) ?? default);
                return isZero;
            }

            if (luks is not null)
            {
                await MakeLuksAsync(storage, luks, size, options);
                return false;
            }

            await (qcow2 is null ? MakeRawAsync(storage, WholeSectors(size), options.Preallocation())
                : Qcow2Image.CreateAsync(storage, qcow2));
            await (clone?.FinishAsync(storage, qcow2!) ?? default);

            bool keepsBytes = storage is not FileStorage { IsBlockDevice: false };
            return qcow2 is null ? !keepsBytes : !keepsBytes || qcow2.Preallocation == Preallocation.Off;
        }
        catch (Exception e) when (isNew && e is BlockException or ToolException)
        {
            FileNames.Delete(path);
            throw;
        }
    }

    private static async ValueTask<bool> MakeRbdAsync(
        string name, Qcow2CreateOptions? qcow2, LuksOptions? luks, long size, CreateOptions options, ZoneClone? clone)
    {
        if (qcow2?.DataFile is not null)
        {
            throw new ToolException("an image in RBD cannot have an external data file");
        }

        if (options["preallocation"] is { } mode and ("falloc" or "full"))
        {
            throw new ToolException($"Unsupported preallocation mode '{mode}'");
        }

        long? objects = qcow2 is null && luks is null && options["cluster_size"] is not null ? options.Number("cluster_size") : null;
        await using var storage = await RemoteStorage.CreateRbdAsync(name, qcow2 is null && luks is null ? WholeSectors(size) : 0, objects);
        try
        {
            if (luks is not null)
            {
                await MakeLuksAsync(storage, luks, size, options);
                return false;
            }

            if (qcow2 is not null)
            {
                await Qcow2Image.CreateAsync(storage, qcow2);
                await (clone?.FinishAsync(storage, qcow2) ?? default);
            }

            return qcow2 is null or { Preallocation: Preallocation.Off };
        }
        catch (Exception e) when (e is BlockException or ToolException)
        {
            await storage.DisposeAsync();
            await RemoteStorage.RemoveRbdAsync(name);
            throw;
        }
    }

    // copy-on-write is turned off for an empty file alone
    private static async ValueTask HintAsync(IStorage storage, CreateOptions options, Action<string>? warn)
    {
        if (storage is not FileStorage { IsBlockDevice: false } file)
        {
            return;
        }

        if (options["nocow"] == "on")
        {
            await file.SetLengthAsync(0);
            file.TurnOffCopyOnWrite();
        }

        if (options.ExtentSizeHint is { } bytes and > 0 && file.SetExtentSize(bytes) is not 0 and var errno)
        {
            warn?.Invoke($"Failed to set extent size hint: {ErrorText.Of(errno)}");
        }
    }

    /// <summary>Creates an image and its data file, whose previous contents are lost.</summary>
    /// <returns>Whether the new image is known to read as zeroes.</returns>
    private static async ValueTask<bool> FormatAsync(IStorage storage, string path, string dataFile, Qcow2CreateOptions options)
    {
        RequireOther(path, dataFile);
        bool isNew = !FileIdentity.IsTaken(dataFile);
        await using var data = ImageOpener.OpenStored(dataFile, readOnly: false, create: true);
        try
        {
            await data.SetLengthAsync(0);
            await Qcow2Image.CreateAsync(storage, data, options with { DataFile = dataFile });
        }
        catch (BlockException) when (isNew)
        {
            FileNames.Delete(dataFile);
            throw;
        }

        return !data.IsBlockDevice || options is { DataFileRaw: false, Preallocation: Preallocation.Off };
    }

    private static async ValueTask MakeLuksAsync(IStorage storage, LuksOptions luks, long size, CreateOptions options)
    {
        bool isDetached = options["detached-header"] == "on";
        long header = LuksFormat.HeaderBytes(luks), length = isDetached ? header : header + WholeSectors(size);
        if (length < 0)
        {
            throw new ToolException("The requested file size is too large");
        }

        var preallocation = options.Preallocation();
        if (length > storage.Length)
        {
            await GrowAsync(storage, length);
        }

        await storage.SetLengthAsync(0);
        await storage.SetLengthAsync(length, preallocation == Preallocation.Metadata ? Preallocation.Off : preallocation);
        await LuksFormat.WriteAsync(new LuksArea(storage), luks, isDetached);
    }

    // the peer names the step that needs the room
    private static async ValueTask FormatAsync(IStorage remote, Qcow2CreateOptions options)
    {
        try
        {
            await Qcow2Image.CreateAsync(remote, options);
        }
        catch (BlockException e) when (
            e.Error == BlockError.NotSupported && !e.Message.StartsWith("Could not resize image", StringComparison.Ordinal))
        {
            throw new BlockException(e.Error, "Could not resize image: " + e.Message, e);
        }
    }

    private static long WholeSectors(long size) => size > long.MaxValue - 511 ? size : (size + 511) & -512;

    private static string? Path(string name)
    {
        try
        {
            return NvmeName.Is(name) || RbdTarget.IsName(name) || name.StartsWith("json:", StringComparison.Ordinal) ? null
                : ImageOpener.PathOf(name);
        }
        catch (ToolException)
        {
            return null;
        }
    }

    private static void CheckRaw(string? preallocation)
    {
        switch (PreallocationName.Parse(preallocation))
        {
            case null:
                throw new ToolException($"invalid parameter value: {preallocation}");
            case Preallocation.Metadata:
                throw new ToolException("Unsupported preallocation mode: metadata");
        }
    }

    private static async ValueTask MakeRawAsync(IStorage storage, long size, Preallocation preallocation)
    {
        const int FirstBlock = 4096, Sector = 512;
        if (size > storage.Length)
        {
            await GrowAsync(storage, size);
        }

        await storage.SetLengthAsync(0);
        await storage.SetLengthAsync(size, preallocation);
        if (preallocation == Preallocation.Off && size > 0)
        {
            // the first block is there, so that alignment for direct I/O can be probed by reading it
            await storage.WriteAsync(0, new byte[size >= FirstBlock ? FirstBlock : Math.Min(size, Sector)]);
        }
    }

    // a size that the file system does not take is refused before the old contents go
    private static async ValueTask GrowAsync(IStorage storage, long size)
    {
        if (storage is FileStorage { IsBlockDevice: true })
        {
            throw new BlockException(BlockError.NotSupported, "Cannot grow device files");
        }

        await storage.SetLengthAsync(size);
    }
}
