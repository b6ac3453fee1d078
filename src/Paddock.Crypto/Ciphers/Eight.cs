using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Paddock.Crypto.Ciphers;

/// <summary>Eight blocks in registers.</summary>
internal readonly record struct Eight(
    Vector128<byte> B0, Vector128<byte> B1, Vector128<byte> B2, Vector128<byte> B3, Vector128<byte> B4, Vector128<byte> B5,
    Vector128<byte> B6, Vector128<byte> B7)
{
    private const nuint Block = 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Load(ref byte from, nuint at)
        => new(
            Vector128.LoadUnsafe(ref from, at), Vector128.LoadUnsafe(ref from, at + Block),
            Vector128.LoadUnsafe(ref from, at + (2 * Block)), Vector128.LoadUnsafe(ref from, at + (3 * Block)),
            Vector128.LoadUnsafe(ref from, at + (4 * Block)), Vector128.LoadUnsafe(ref from, at + (5 * Block)),
            Vector128.LoadUnsafe(ref from, at + (6 * Block)), Vector128.LoadUnsafe(ref from, at + (7 * Block)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight operator ^(in Eight a, in Eight b)
        => new(a.B0 ^ b.B0, a.B1 ^ b.B1, a.B2 ^ b.B2, a.B3 ^ b.B3, a.B4 ^ b.B4, a.B5 ^ b.B5, a.B6 ^ b.B6, a.B7 ^ b.B7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref byte to, nuint at)
    {
        B0.StoreUnsafe(ref to, at);
        B1.StoreUnsafe(ref to, at + Block);
        B2.StoreUnsafe(ref to, at + (2 * Block));
        B3.StoreUnsafe(ref to, at + (3 * Block));
        B4.StoreUnsafe(ref to, at + (4 * Block));
        B5.StoreUnsafe(ref to, at + (5 * Block));
        B6.StoreUnsafe(ref to, at + (6 * Block));
        B7.StoreUnsafe(ref to, at + (7 * Block));
    }
}
