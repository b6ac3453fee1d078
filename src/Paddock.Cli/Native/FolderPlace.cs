using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>Drives in files of a directory.</summary>
internal sealed class FolderPlace : IDrivePlace
{
    private readonly string _folder;
    private readonly bool _madeFolder;

    /// <param name="folder">The directory, which is created if it does not exist, and then removed with the drives.</param>
    /// <exception cref="ToolException">It cannot be created.</exception>
    public FolderPlace(string folder)
    {
        _folder = folder;
        _madeFolder = !Directory.Exists(folder);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"--dir '{folder}': {e.Message}");
        }
    }

    /// <inheritdoc/>
    public int AtOnce => 1;

    /// <inheritdoc/>
    public string NameOf(string drive) => Path.Combine(_folder, drive + ".qcow2");

    /// <inheritdoc/>
    public ValueTask RemoveAsync(string name)
    {
        try
        {
            FileNames.Delete(name);
        }
        catch (DirectoryNotFoundException)
        {
            // removed with its directory
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw e as BlockException ?? Errno.Translate(e, $"'{name}' cannot be removed");
        }

        return default;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_madeFolder)
        {
            return;
        }

        try
        {
            Directory.Delete(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // somebody has put a file there, or removed the directory
        }
    }
}
