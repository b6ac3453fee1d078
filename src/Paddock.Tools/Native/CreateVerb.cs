using Paddock.Block;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Tools.Native;

/// <summary>`paddock create`: a new qcow2 image, zoned where a zone size is given.</summary>
public static class CreateVerb
{
    /// <summary>Makes the image; nothing is left behind when it is refused.</summary>
    /// <param name="path">The new file; it must not exist unless <paramref name="force"/>.</param>
    /// <param name="options">What the image is like.</param>
    /// <param name="force">Whether a file that is there is replaced.</param>
    /// <param name="console">Takes the line that says what was made.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask RunAsync(
        string path, Qcow2CreateOptions options, bool force, NativeConsole console, CancellationToken cancellationToken = default)
    {
        bool existed = FileIdentity.IsTaken(path);
        if (existed && !force)
        {
            throw new ToolException($"'{path}' is there already; choose another name, or add --force to replace it");
        }

        // a refused option must not cost an existing file its contents
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

        console.Out.WriteLine($"made '{EscapedText.Escape(path)}': {Describe(options)}");
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
