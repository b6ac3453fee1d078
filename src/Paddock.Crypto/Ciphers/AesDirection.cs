using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Paddock.Crypto.Ciphers;

/// <summary>
/// One direction of AES by the instructions of x86 processors. Implemented by structs, so that each direction is compiled by itself and
/// its instructions are inlined.
/// </summary>
internal interface IAesDirection
{
    /// <summary>A round between the first and the last.</summary>
    static abstract Vector128<byte> Round(Vector128<byte> block, Vector128<byte> key);

    /// <summary>The last round.</summary>
    static abstract Vector128<byte> Last(Vector128<byte> block, Vector128<byte> key);

    /// <summary>The round keys, in order of use.</summary>
    static abstract ReadOnlySpan<Vector128<byte>> KeysOf(AesNiEngine engine);
}

/// <summary>Encryption.</summary>
internal readonly struct AesEncryption : IAesDirection
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Round(Vector128<byte> block, Vector128<byte> key) => Aes.Encrypt(block, key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Last(Vector128<byte> block, Vector128<byte> key) => Aes.EncryptLast(block, key);

    public static ReadOnlySpan<Vector128<byte>> KeysOf(AesNiEngine engine) => engine.EncryptionKeys;
}

/// <summary>Decryption, by the equivalent inverse cipher.</summary>
internal readonly struct AesDecryption : IAesDirection
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Round(Vector128<byte> block, Vector128<byte> key) => Aes.Decrypt(block, key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Last(Vector128<byte> block, Vector128<byte> key) => Aes.DecryptLast(block, key);

    public static ReadOnlySpan<Vector128<byte>> KeysOf(AesNiEngine engine) => engine.DecryptionKeys;
}
