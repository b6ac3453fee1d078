using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>
/// The objects that <c>--object secret,...</c> makes: passphrases by their id, in the command line or in a file, themselves encrypted or
/// not. Messages never have any part of one.
/// </summary>
internal static class SecretObjects
{
    private const int MaxFileBytes = 1 << 20;
    private const int KeyBytes = 32, BlockBytes = 16;

    /// <summary>Rejects a secret that cannot be read, as it is when it is made.</summary>
    /// <param name="objects">All objects, in order; a secret may be encrypted with an earlier one.</param>
    /// <param name="index">Number of the secret.</param>
    /// <exception cref="ToolException">An option has no such value, or the secret cannot be read.</exception>
    public static void Check(IReadOnlyList<string> objects, int index)
        => CryptographicOperations.ZeroMemory(Read(UserObjects.Parse(objects[index]), [.. objects.Take(index)]));

    /// <summary>The passphrase with an id.</summary>
    /// <exception cref="ToolException">No secret has the ID, or it is not text.</exception>
    public static byte[] Passphrase(IReadOnlyList<string> objects, string id)
    {
        var bytes = Find(objects, id);
        try
        {
            _ = new UTF8Encoding(false, throwOnInvalidBytes: true).GetCharCount(bytes);
        }
        catch (ArgumentException)
        {
            throw new ToolException($"Data from secret {id} is not valid UTF-8");
        }

        return bytes.Contains((byte)0) ? throw new ToolException($"Data from secret {id} is not valid UTF-8") : bytes;
    }

    private static byte[] Find(IReadOnlyList<string> objects, string id)
    {
        for (int i = 0; i < objects.Count; i++)
        {
            var options = UserObjects.Parse(objects[i]);
            if (options["id"] as string == id)
            {
                return options["qom-type"] is "secret" ? Read(options, [.. objects.Take(i)])
                    : throw new ToolException($"Object with id '{id}' is not a secret");
            }
        }

        throw new ToolException($"No secret with id '{id}'");
    }

    /// <param name="options">The secret's.</param>
    /// <param name="earlier">Objects made before it, one of which may be its key.</param>
    private static byte[] Read(QDict options, IReadOnlyList<string> earlier)
    {
        string format = options["format"] as string ?? "raw";
        if (format is not ("raw" or "base64"))
        {
            throw new ToolException($"Parameter 'format' does not accept value '{format}'");
        }

        var bytes = (options["file"] as string, options["data"] as string) switch
        {
            ({ }, { }) => throw new ToolException("'file' and 'data' are mutually exclusive"),
            ({ } file, null) => ReadFile(file),
            (null, { } data) => Encoding.UTF8.GetBytes(data),
            _ => throw new ToolException("Either 'file' or 'data' must be provided"),
        };
        if (options["keyid"] as string is not { } keyId)
        {
            return format == "base64" ? FromBase64(bytes) : bytes;
        }

        var key = Find(earlier, keyId);
        if (key.Length != KeyBytes)
        {
            throw new ToolException($"Key should be {KeyBytes} bytes in length");
        }

        string iv = options["iv"] as string ?? throw new ToolException("IV is required to decrypt secret");
        var vector = FromBase64(Encoding.UTF8.GetBytes(iv));
        if (vector.Length != BlockBytes)
        {
            throw new ToolException($"IV should be {BlockBytes} bytes in length not {vector.Length}");
        }

        return Decrypt(format == "base64" ? FromBase64(bytes) : bytes, key, vector);
    }

    private static byte[] Decrypt(byte[] cipherText, byte[] key, byte[] iv)
    {
        if (cipherText.Length % BlockBytes != 0)
        {
            throw new ToolException($"Length {cipherText.Length} must be a multiple of block size {BlockBytes}");
        }

        using var aes = Aes.Create();
        aes.Key = key;
        var plain = aes.DecryptCbc(cipherText, iv, PaddingMode.None);
        CryptographicOperations.ZeroMemory(key);
        return plain.Length == 0 || plain[^1] > BlockBytes
            ? throw new ToolException("Incorrect number of padding bytes found on decrypted data") : plain[..^plain[^1]];
    }

    private static byte[] FromBase64(byte[] text)
    {
        try
        {
            return Convert.FromBase64String(Encoding.Latin1.GetString(text));
        }
        catch (FormatException)
        {
            throw new ToolException("Base64 data contains invalid characters");
        }
    }

    private static byte[] ReadFile(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            var bytes = new byte[MaxFileBytes + 1];
            int count = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            var secret = count <= MaxFileBytes ? bytes[..count]
                : throw new ToolException(
                    string.Create(CultureInfo.InvariantCulture, $"Unable to read {path}: it is larger than {MaxFileBytes} bytes"));
            CryptographicOperations.ZeroMemory(bytes);
            return secret;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string why = e is UnauthorizedAccessException ? "Permission denied"
                : e is FileNotFoundException or DirectoryNotFoundException ? "No such file or directory" : e.Message;
            throw new ToolException($"Unable to read {path}: Failed to open file \u201c{path}\u201d: {why}");
        }
    }
}
