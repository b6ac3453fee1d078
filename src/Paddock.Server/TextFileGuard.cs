using Paddock.Images;

namespace Paddock.Server;

/// <summary>Keeps options that name a text file to be written from destroying a disk image that is there.</summary>
public static class TextFileGuard
{
    private const int Looked = 512;

    /// <summary>Checks a file before it is replaced or appended to.</summary>
    /// <param name="option">Name of the option, for the message.</param>
    /// <param name="path">The file; it need not exist.</param>
    /// <exception cref="ToolException">The file exists and is not a text.</exception>
    public static void Check(string option, string path)
    {
        // pipes and devices have no length, and reading them could wait
        if (new FileInfo(path) is not { Exists: true, Length: > 0 })
        {
            return;
        }

        var start = new byte[Looked];
        int read;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 0);
            read = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // writing it fails with the reason, or is permitted although reading is not
            return;
        }

        if (start.AsSpan(0, read).Contains((byte)0))
        {
            throw new ToolException($"{option} '{path}': the file exists and is not a text file; name another one, or remove it first");
        }
    }
}
