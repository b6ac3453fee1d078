using Org.BouncyCastle.Crypto.Agreement;
using Org.BouncyCastle.Crypto.Parameters;

namespace Paddock.Nvme;

/// <summary>Diffie-Hellman groups of DH-HMAC-CHAP, by their identifiers (NVMe base 2.0, 8.13.5.2; RFC 7919, appendix A).</summary>
public enum DhChapGroup : byte
{
    /// <summary>None: a key that leaks later can be checked against recorded exchanges.</summary>
    Null = 0,

    /// <summary>2048 bits.</summary>
    Ffdhe2048 = 1,

    /// <summary>3072 bits.</summary>
    Ffdhe3072 = 2,

    /// <summary>4096 bits.</summary>
    Ffdhe4096 = 3,

    /// <summary>6144 bits.</summary>
    Ffdhe6144 = 4,

    /// <summary>8192 bits.</summary>
    Ffdhe8192 = 5,
}

/// <summary>Parameters of a group.</summary>
internal static class DhChapGroups
{
    /// <summary>The prime and the generator; null for the NULL group.</summary>
    public static DHParameters? Parameters(this DhChapGroup group) => group switch
    {
        DhChapGroup.Ffdhe2048 => DHStandardGroups.rfc7919_ffdhe2048,
        DhChapGroup.Ffdhe3072 => DHStandardGroups.rfc7919_ffdhe3072,
        DhChapGroup.Ffdhe4096 => DHStandardGroups.rfc7919_ffdhe4096,
        DhChapGroup.Ffdhe6144 => DHStandardGroups.rfc7919_ffdhe6144,
        DhChapGroup.Ffdhe8192 => DHStandardGroups.rfc7919_ffdhe8192,
        _ => null,
    };

    /// <summary>Bytes of a public value and of a shared secret.</summary>
    public static int Length(this DhChapGroup group) => group switch
    {
        DhChapGroup.Ffdhe2048 => 2048 / 8,
        DhChapGroup.Ffdhe3072 => 3072 / 8,
        DhChapGroup.Ffdhe4096 => 4096 / 8,
        DhChapGroup.Ffdhe6144 => 6144 / 8,
        DhChapGroup.Ffdhe8192 => 8192 / 8,
        _ => 0,
    };
}
