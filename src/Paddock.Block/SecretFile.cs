using System.Text;

namespace Paddock.Block;

/// <summary>Reads files that hold secrets: keys for authentication, private keys for TLS. Every such file is read here.</summary>
public static class SecretFile
{
    private const int MaxBytes = 1 << 20;
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Reads a file that nobody but its owner may use.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">It cannot be read, is too long, or others may use it; the message names it.</exception>
    public static string ReadText(string path)
    {
        byte[] bytes = [];
        try
        {
            // the mode is that of the open file: the name may lead elsewhere by then
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            if (!OperatingSystem.IsWindows() && File.GetUnixFileMode(file.SafeFileHandle) is var mode && (mode & Others) != 0)
            {
                throw new IOException(
                    $"'{path}' holds keys, and others than its owner may use it (mode {Convert.ToString((int)mode, 8)}): chmod 600 it");
            }

            bytes = new byte[MaxBytes + 1];
            int count = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            return count <= MaxBytes ? Encoding.UTF8.GetString(bytes, 0, count)
                : throw new IOException($"'{path}' is longer than {MaxBytes} bytes, too long for a file of keys");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or NotSupportedException or FileNotFoundException or DirectoryNotFoundException)
        {
            string why = e is UnauthorizedAccessException ? "Permission denied" : e is NotSupportedException ? e.Message : "No such file or directory";
            throw new IOException($"cannot read '{path}': {why}", e);
        }
        finally
        {
            Array.Clear(bytes);
        }
    }
}
