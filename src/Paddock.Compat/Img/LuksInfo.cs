using Paddock.Crypto.Ciphers;
using Paddock.Crypto.Luks;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary>What <c>info</c> reports of a LUKS header.</summary>
internal static class LuksInfo
{
    /// <summary>Describes a header; nothing for null.</summary>
    public static QDict Describe(LuksVolume? volume)
    {
        if (volume is null)
        {
            return new QDict();
        }

        var header = volume.Header;
        var cipher = header.Cipher;
        return new QDict()
            .With("ivgen-alg", CipherNames.Of(cipher.Generator))
            .WithIf(
                cipher.Generator == IvGenerator.Essiv, "ivgen-hash-alg", cipher.GeneratorHash is { } hash ? CipherNames.Of(hash) : null)
            .With("detached-header", volume.IsDetached)
            .With("hash-alg", header.HashName)
            .With("cipher-alg", CipherNames.Of(cipher.Algorithm))
            .With("uuid", header.Uuid)
            .With("cipher-mode", CipherNames.Of(cipher.Mode))
            .With("slots", header.Slots.Select(static s => (object?)Describe(s)).ToList())
            .With("payload-offset", header.PayloadOffset)
            .With("master-key-iters", (long)header.DigestIterations);
    }

    private static QDict Describe(KeySlot slot) => new QDict()
        .With("active", slot.IsActive)
        .WithIf(slot.IsActive, "iters", (long)slot.Iterations)
        .With("key-offset", slot.MaterialOffset)
        .WithIf(slot.IsActive, "stripes", (long)slot.StripeCount);
}
