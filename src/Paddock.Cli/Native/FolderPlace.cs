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
        FileNames.Delete(name);
        return default;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_madeFolder)
        {
            Directory.Delete(_folder);
        }
    }
}
