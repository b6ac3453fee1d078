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

    private static readonly string[] Known = ["qom-type", "id", "data", "file", "format", "keyid", "iv"];

    /// <summary>Rejects the first object that cannot be made. TLS credentials are read when they are used.</summary>
    /// <exception cref="ToolException">An option is unknown or has no such value, or the secret cannot be read.</exception>
    public static void Check(IReadOnlyList<string> objects)
    {
        var ids = new HashSet<string>();
        for (int i = 0; i < objects.Count; i++)
        {
            var options = Parse(objects[i]);
            if (options["qom-type"] as string is not ("secret" or "tls-creds-x509" or "tls-creds-anon" or "tls-creds-psk"))
            {
                throw new ToolException($"Parameter 'qom-type' does not accept value '{options["qom-type"]}'");
            }

            string id = CheckId(options);
            if (!ids.Add(id))
            {
                throw new ToolException($"attempt to add duplicate property '{id}' to object (type 'container')");
            }

            if (options["qom-type"] is "secret")
            {
                CryptographicOperations.ZeroMemory(Read(options, [.. objects.Take(i)]));
            }
        }
    }

    /// <summary>The passphrase with an id.</summary>
    /// <exception cref="ToolException">There is none, or it is not text.</exception>
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
            var options = Parse(objects[i]);
            if (options["id"] as string == id)
            {
                return options["qom-type"] is "secret" ? Read(options, [.. objects.Take(i)])
                    : throw new ToolException($"Object with id '{id}' is not a secret");
            }
        }

        throw new ToolException($"No secret with id '{id}'");
    }

    private static QDict Parse(string text)
    {
        if (!text.StartsWith('{'))
        {
            // the first word of an object is its type, with or without "qom-type="
            return KeyValueOptions.ParseToDict(text.StartsWith("qom-type=", StringComparison.Ordinal) ? text : "qom-type=" + text);
        }

        var options = JsonReader.Parse(text) as QDict ?? throw new ToolException("Invalid JSON object given");
        return options.InOrder.FirstOrDefault(static o => o.Value is not string && o.Key is "data" or "file" or "id" or "qom-type") is
            { Key: { } key } && options[key] is not string
            ? throw new ToolException($"Invalid parameter type for '{key}', expected: string") : options;
    }

    private static string CheckId(QDict options)
    {
        string id = options["id"] as string ?? throw new ToolException("Parameter 'id' is missing");
        return id.Length > 0 && char.IsAsciiLetter(id[0]) && id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_') ? id
            : throw new ToolException("Parameter 'id' expects an identifier\n"
                + "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
    }

    /// <param name="options">The secret's.</param>
    /// <param name="earlier">Objects made before it, one of which may be its key.</param>
    private static byte[] Read(QDict options, IReadOnlyList<string> earlier)
    {
        if (options.InOrder.FirstOrDefault(o => !Known.Contains(o.Key)).Key is { } unknown)
        {
            throw new ToolException($"Parameter '{unknown}' is unexpected");
        }

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
