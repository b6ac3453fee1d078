using Paddock.Block;

namespace Paddock.Images;

/// <summary>The value of <c>--passphrase-file</c>, and of the setting with the same meaning.</summary>
internal static class PassphraseFile
{
    /// <summary>The passphrase in a file that only its owner can access; null if no file is given.</summary>
    /// <exception cref="ToolException">The file cannot be read, or is accessible by others.</exception>
    public static ReadOnlyMemory<byte>? Read(string? path)
    {
        try
        {
            // null is no array: that would become an empty passphrase
            return path is null ? default(ReadOnlyMemory<byte>?) : SecretFile.ReadPassphrase(path);
        }
        catch (IOException e)
        {
            throw new ToolException(e.Message, inner: e);
        }
    }
}
