using System.Text;
using Paddock.Block;

namespace Paddock.Nbd.Transport;

/// <summary>The pre-shared keys of one side: lines <c>USERNAME:KEY</c>, the key in hexadecimal digits.</summary>
internal sealed class PskKeys
{
    /// <summary>The file in the folder of an object.</summary>
    public const string FileName = "keys.psk";

    /// <summary>Longest username and key, in bytes (RFC 4279 5.3: implementations support 128 and 64 at least).</summary>
    public const int MaxName = 128, MaxKey = 512;

    private readonly Dictionary<string, byte[]> _keys;

    private PskKeys(Dictionary<string, byte[]> keys, string username)
    {
        _keys = keys;
        Username = username;
    }

    /// <summary>The name that a client presents.</summary>
    public string Username { get; }

    /// <summary>Key of <see cref="Username"/>.</summary>
    public byte[] Key => _keys[Username];

    /// <summary>The key of a user; null for an unknown name.</summary>
    public byte[]? Find(byte[] identity) => _keys.GetValueOrDefault(Encoding.UTF8.GetString(identity));

    /// <summary>Reads a key file.</summary>
    /// <param name="folder">The folder that contains <see cref="FileName"/>.</param>
    /// <param name="username">Name of a client, which must be in the file; null for a server.</param>
    /// <exception cref="IOException">The file cannot be read, has an invalid line, or lacks the name.</exception>
    public static PskKeys Read(string folder, string? username)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            throw new IOException($"Unable to access credentials {path}: No such file or directory");
        }

        var keys = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        int number = 0;
        foreach (string line in SecretFile.ReadText(path, othersMayRead: true).Split('\n'))
        {
            number++;
            if (line.Trim() is { Length: > 0 } text && !text.StartsWith('#'))
            {
                var (name, key) = Parse(path, number, text);
                keys.TryAdd(name, key);
            }
        }

        return username is null || keys.ContainsKey(username)
            ? new PskKeys(keys, username ?? "") : throw new IOException($"Username {username} not found in PSK file {path}");
    }

    private static (string Name, byte[] Key) Parse(string path, int number, string line)
    {
        int colon = line.LastIndexOf(':');
        try
        {
            byte[] key = Convert.FromHexString(line.AsSpan(colon + 1));
            if (colon is > 0 and <= MaxName && key.Length is > 0 and <= MaxKey)
            {
                return (line[..colon], key);
            }
        }
        catch (FormatException)
        {
            // reported below, without the key
        }

        throw new IOException(
            $"{path}, line {number}: expected USERNAME:KEY with a name of 1 to {MaxName} bytes and a key of 1 to {MaxKey} bytes in "
            + "hexadecimal");
    }
}
