using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Nvme;

namespace Paddock.Cli.Native;

/// <summary>`paddock gen-dhchap-key`: generates a key for NVMe in-band authentication.</summary>
public static class KeyVerb
{
    private const int DefaultLength = 32;

    /// <summary>Prints a new key.</summary>
    /// <param name="hmac">0: no transformation; 1, 2, 3: transformed for its owner's NQN with SHA-256, -384, -512.</param>
    /// <param name="length">Key length: 32, 48 or 64; null: the hash length, or 32 without a hash.</param>
    /// <param name="nqn">NQN that the random key is transformed for before it is printed; requires a hash.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives the key.</param>
    public static void Generate(int hmac, int? length, string? nqn, bool json, NativeConsole console)
    {
        if (hmac is < 0 or > 3)
        {
            throw new ToolException($"--hmac {hmac}: expected 0 (none), 1 (SHA-256), 2 (SHA-384) or 3 (SHA-512)", NativeExit.Usage);
        }

        int bytes = length ?? (hmac == 0 ? DefaultLength : 16 * (hmac + 1));
        if (bytes is not (32 or 48 or 64))
        {
            throw new ToolException($"--key-length {bytes}: expected 32, 48 or 64", NativeExit.Usage);
        }

        if (hmac != 0 && bytes != 16 * (hmac + 1))
        {
            throw new ToolException($"--key-length {bytes}: --hmac {hmac} requires a key of {16 * (hmac + 1)} bytes", NativeExit.Usage);
        }

        string key = DhChapKey.Generate(bytes, hmac == 0 ? null : (DhChapHash)hmac, nqn).Export();
        console.Out.WriteLine(json
            ? JsonText.Readable(new JsonFields { { "key", key }, { "hmac", hmac }, { "key_length", bytes }, { "nqn", nqn } }) : key);
    }
}
