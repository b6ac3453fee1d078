using Paddock.Posix;

namespace Paddock.Server;

/// <summary>Describes failures to read a file as the operating system does, without repeating its name.</summary>
public static class FileErrorText
{
    /// <summary>The reason why <paramref name="path"/> could not be read.</summary>
    public static string Of(Exception failure, string path) => failure switch
    {
        FileNotFoundException or DirectoryNotFoundException => "No such file or directory",
        UnauthorizedAccessException => Directory.Exists(path) ? "Is a directory" : "Permission denied",
        _ => failure.Message,
    };

    /// <summary>The reason why no server could be reached at the Unix socket <paramref name="path"/>.</summary>
    public static string OfSocket(Exception failure, string path)
        => UnixSocketFile.TooLong(path) ?? (FileNames.Exists(path) ? failure.Message : "No such file or directory");
}
