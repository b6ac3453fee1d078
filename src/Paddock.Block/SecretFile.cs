using System.Text;

namespace Paddock.Block;

/// <summary>Reads files that hold secrets: keys for authentication, private keys for TLS. Every such file is read here.</summary>
internal static class SecretFile
{
    private const int MaxBytes = 1 << 20;
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Reads the passphrase in a file that only its owner can access: all of it but a line break at its end.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be read, is too large, or is accessible by others; the message names it.</exception>
    public static byte[] ReadPassphrase(string path) => Encoding.UTF8.GetBytes(ReadText(path).TrimEnd('\r', '\n'));

    /// <summary>Reads a file that only its owner can access.</summary>
    /// <param name="path">The file.</param>
    /// <param name="othersMayRead">Accepts a file that other users can access.</param>
    /// <exception cref="IOException">The file cannot be read, is too large, or is accessible by others; the message names it.</exception>
    public static string ReadText(string path, bool othersMayRead = false)
    {
        byte[] bytes = [];
        try
        {
            // check the open file, not the path: the path may be replaced meanwhile
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            if (!othersMayRead && !OperatingSystem.IsWindows()
                && File.GetUnixFileMode(file.SafeFileHandle) is var mode && (mode & Others) != 0)
            {
                throw new IOException(
                    $"'{path}' contains keys, but other users can access it (mode {Convert.ToString((int)mode, 8)}): restrict it with "
                        + "'chmod 600'");
            }

            bytes = new byte[MaxBytes + 1];
            int count = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            return count <= MaxBytes ? Encoding.UTF8.GetString(bytes, 0, count)
                : throw new IOException($"'{path}' is larger than {MaxBytes} bytes, the limit for key files");
        }
        catch (Exception e) when (
            e is UnauthorizedAccessException or NotSupportedException or FileNotFoundException or DirectoryNotFoundException)
        {
            string why = e is UnauthorizedAccessException ? "Permission denied" : e is NotSupportedException ? e.Message
                : "No such file or directory";
            throw new IOException($"cannot read '{path}': {why}", e);
        }
        finally
        {
            Array.Clear(bytes);
        }
    }
}
