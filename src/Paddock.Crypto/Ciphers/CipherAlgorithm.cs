namespace Paddock.Crypto.Ciphers;

/// <summary>Block ciphers, with their key sizes.</summary>
internal enum CipherAlgorithm
{
    Aes128,
    Aes192,
    Aes256,
    Cast5,
    Serpent128,
    Serpent192,
    Serpent256,
    Twofish128,
    Twofish192,
    Twofish256,
}

/// <summary>How a cipher runs over the blocks of a sector.</summary>
internal enum SectorMode
{
    Ecb,
    Cbc,
    Xts,
    Ctr,
}

/// <summary>How the initialization vector of a sector is made.</summary>
internal enum IvGenerator
{
    /// <summary>The low 32 bits of the sector's number.</summary>
    Plain,

    /// <summary>The sector's number, 64 bits.</summary>
    Plain64,

    /// <summary>The sector's number, encrypted with a hash of the key.</summary>
    Essiv,
}

/// <summary>Hashes for keys and initialization vectors.</summary>
internal enum HashKind
{
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Ripemd160,
    Sm3,
}
