using Paddock.Nvme;

namespace Paddock.Tools.Native;

/// <summary>`paddock gen-dhchap-key`: a new key for NVMe's in-band authentication.</summary>
public static class KeyVerb
{
    private const int DefaultLength = 32;

    /// <summary>Prints a key.</summary>
    /// <param name="hmac">0: the key is used as it is; 1, 2, 3: bound to its owner's name by SHA-256, -384, -512.</param>
    /// <param name="length">Bytes: 32, 48 or 64; null: as many as the hash has, 32 without one.</param>
    /// <param name="nqn">With a hash, a name that the random key is bound to before it is printed; null: none.</param>
    /// <param name="console">Takes the key.</param>
    public static void Generate(int hmac, int? length, string? nqn, NativeConsole console)
    {
        if (hmac is < 0 or > 3)
        {
            throw new ToolException($"--hmac {hmac}: 0 is none, 1 SHA-256, 2 SHA-384, 3 SHA-512", NativeExit.Usage);
        }

        int bytes = length ?? (hmac == 0 ? DefaultLength : 16 * (hmac + 1));
        if (bytes is not (32 or 48 or 64))
        {
            throw new ToolException($"--key-length {bytes}: a key has 32, 48 or 64 bytes", NativeExit.Usage);
        }

        if (hmac != 0 && bytes != 16 * (hmac + 1))
        {
            throw new ToolException($"--key-length {bytes}: with --hmac {hmac} a key has {16 * (hmac + 1)} bytes", NativeExit.Usage);
        }

        console.Out.WriteLine(DhChapKey.Generate(bytes, hmac == 0 ? null : (DhChapHash)hmac, nqn).Export());
    }
}
