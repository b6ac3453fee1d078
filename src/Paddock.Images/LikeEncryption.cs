using Paddock.Crypto;

namespace Paddock.Images;

/// <summary>Encryption of a new image that gets the data of another one, so that these do not become readable.</summary>
internal static class LikeEncryption
{
    /// <summary>Encryption with the passphrase of a disk if that, or an image below it, is encrypted; else null.</summary>
    /// <param name="node">The open disk.</param>
    /// <param name="passphrase">The passphrase it was opened with.</param>
    public static LuksOptions? Of(ImageNode? node, ReadOnlyMemory<byte>? passphrase)
        => node is { IsEncrypted: true } && passphrase is { } given ? new LuksOptions { Passphrase = given } : null;
}
