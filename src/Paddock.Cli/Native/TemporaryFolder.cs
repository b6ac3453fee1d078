using Paddock.Images;

namespace Paddock.Cli.Native;

/// <summary>A temporary directory that only its owner can access; removed when disposed.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private TemporaryFolder(string path) => Path = path;

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>Creates a directory in that for temporary files (TMPDIR, otherwise /tmp).</summary>
    /// <param name="prefix">What its name begins with.</param>
    /// <exception cref="ToolException">It cannot be created.</exception>
    public static TemporaryFolder Create(string prefix)
    {
        string temporary = System.IO.Path.GetTempPath();
        if (!Directory.Exists(temporary))
        {
            throw new ToolException($"the temporary directory '{temporary}' does not exist: set TMPDIR to one that does");
        }

        try
        {
            return new TemporaryFolder(Directory.CreateTempSubdirectory(prefix).FullName);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot create a directory in '{temporary}' (set TMPDIR to use another): {e.Message}");
        }
    }

    /// <summary>Path of a file in it.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // the command may have removed it
        }
    }
}
