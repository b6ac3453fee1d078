using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>An encrypted image was opened without a passphrase.</summary>
internal sealed class PassphraseRequiredException(string encryption)
    : BlockException(BlockError.NotPermitted, $"the image is encrypted ({encryption}): its passphrase is required to open it")
{
}
