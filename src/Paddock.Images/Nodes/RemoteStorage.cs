using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Rbd;

namespace Paddock.Images.Nodes;

/// <summary>The bytes behind names that are no files and can hold an image: NBD exports, images in RBD.</summary>
internal static class RemoteStorage
{
    /// <summary>Opens the bytes behind a name.</summary>
    /// <param name="name">The name, as the user typed it.</param>
    /// <param name="settings">How.</param>
    /// <returns>Null if the name is a file's.</returns>
    /// <exception cref="BlockException">They cannot be opened.</exception>
    /// <exception cref="ToolException">The name is malformed.</exception>
    public static async ValueTask<IStorage?> TryOpenAsync(string name, OpenSettings settings)
        => RbdTarget.IsName(name) ? await RbdDriver.OpenAsync(RbdDriver.Parse(name), settings.ReadOnly, settings.Cache)
            : (await NbdNode.TryOpenAsync(name, new QDict(), null, settings))?.Storage;

    /// <summary>Creates an image in RBD, and opens it for writing.</summary>
    /// <param name="name">Its name; it must not exist.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="objectSize">Bytes of an object; null: the cluster's default.</param>
    /// <param name="sharesConnection">Whether to use clients that this process has already.</param>
    /// <exception cref="BlockException">It exists, or cannot be created.</exception>
    /// <exception cref="ToolException">The name is malformed.</exception>
    public static async ValueTask<IStorage> CreateRbdAsync(
        string name, long length, long? objectSize = null, bool sharesConnection = false)
    {
        var target = RbdDriver.Parse(name) with { SharesConnection = sharesConnection };
        await RbdImage.CreateAsync(target, length, objectSize);
        try
        {
            return await RbdDriver.OpenAsync(target, readOnly: false);
        }
        catch
        {
            await RbdImage.RemoveAsync(target);
            throw;
        }
    }

    /// <summary>Removes a file, or an image in RBD, that could not be completed.</summary>
    public static async ValueTask RemoveAsync(string name)
    {
        if (RbdTarget.IsName(name))
        {
            await RemoveRbdAsync(name);
        }
        else
        {
            FileNames.Delete(name);
        }
    }

    /// <summary>Removes an image in RBD that could not be completed.</summary>
    public static async ValueTask RemoveRbdAsync(string name)
    {
        try
        {
            await RbdImage.RemoveAsync(RbdDriver.Parse(name));
        }
        catch (BlockException)
        {
            // what made it incomplete is reported, and mostly keeps it from being removed too
        }
    }
}
