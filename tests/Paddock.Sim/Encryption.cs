using Paddock.Crypto;
using Paddock.Qcow2;

namespace Paddock.Sim;

/// <summary>Encryption of simulated images.</summary>
internal static class Encryption
{
    /// <summary>PBKDF2 iterations that a hostile header may cost.</summary>
    private const long MaxKeyWork = 50_000;

    /// <summary>Passphrase of every image.</summary>
    public static byte[] Passphrase { get; } = "simulated"u8.ToArray();

    /// <summary>Options that encrypt a new image: with LUKS, or the old AES.</summary>
    public static Qcow2CreateOptions Of(Qcow2CreateOptions create, Random random)
        => random.Next(4) == 0 ? create with { OldAesEncryption = true } : create with
        {
            Encryption = new LuksOptions
            {
                Passphrase = Passphrase,
                Cipher = random.Next(2) == 0 ? "aes-256" : "aes-128",
                Mode = random.Next(4) switch { 0 => "cbc", 1 => "ctr", _ => "xts" },
                IterationTime = TimeSpan.Zero,
            },
        };

    /// <summary>Options that encrypt a new image with LUKS.</summary>
    public static Qcow2CreateOptions Luks(Qcow2CreateOptions create, string mode)
        => create with { Encryption = new LuksOptions { Passphrase = Passphrase, Mode = mode, IterationTime = TimeSpan.Zero } };

    /// <summary>Options that open any of these images, and plain ones.</summary>
    public static Qcow2OpenOptions Open(Qcow2OpenOptions open) => open with { Passphrase = Passphrase, MaxKeyWork = MaxKeyWork };
}
