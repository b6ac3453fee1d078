using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock create`: creates a qcow2 image, zoned if a zone size is given.</summary>
public static class CreateVerb
{
    /// <summary>Creates the image; on failure no file is left behind.</summary>
    /// <param name="path">The new file; it must not exist unless <paramref name="force"/>.</param>
    /// <param name="options">Properties of the image.</param>
    /// <param name="force">Whether an existing file is overwritten.</param>
    /// <param name="console">Receives the summary.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask RunAsync(
        string path, Qcow2CreateOptions options, bool force, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await CreateAsync(path, options, force, cancellationToken);
        console.Out.WriteLine($"created '{EscapedText.Escape(path)}': {Describe(options)}");
    }

    /// <summary>Creates the image without a summary; on failure no file is left behind.</summary>
    /// <param name="path">The new file; it must not exist unless <paramref name="force"/>.</param>
    /// <param name="options">Properties of the image.</param>
    /// <param name="force">Whether an existing file is overwritten.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask CreateAsync(
        string path, Qcow2CreateOptions options, bool force, CancellationToken cancellationToken = default)
    {
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

    private static string Describe(Qcow2CreateOptions options)
    {
        if (options.Zoned is not { } zoned)
        {
            return $"{SizeText.Human(options.Size)}, no zones";
        }

        long zones = (options.Size + zoned.ZoneSize - 1) / zoned.ZoneSize;
        string conventional = zoned.ConventionalZones == 0 ? "" : $", the first {zoned.ConventionalZones} conventional";
        return $"{SizeText.Human(options.Size)}, {zones} zones of {SizeText.Human(zoned.ZoneSize)}{conventional}";
    }
}
