using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Paddock.Crypto.Ciphers;

/// <summary>The tweak of XTS (IEEE 1619, 5.2): each block's is the one before it, multiplied by alpha in GF(2^128).</summary>
internal static class XtsTweak
{
    /// <summary>The tweak of the next block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Next(Vector128<byte> tweak)
    {
        // the top bit of each 32-bit part moves into the part above it; that of the highest becomes the polynomial
        var top = Vector128.ShiftRightArithmetic(tweak.AsInt32(), 31);
        var carry = Vector128.Shuffle(top, Vector128.Create(3, 0, 1, 2)) & Vector128.Create(0x87, 1, 1, 1);
        return (Vector128.ShiftLeft(tweak.AsInt32(), 1) ^ carry).AsByte();
    }

    /// <summary>The tweaks of eight blocks; afterwards <paramref name="tweak"/> is that of the ninth.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight NextEight(ref Vector128<byte> tweak)
    {
        var t0 = tweak;
        var t1 = Next(t0);
        var t2 = Next(t1);
        var t3 = Next(t2);
        var t4 = Next(t3);
        var t5 = Next(t4);
        var t6 = Next(t5);
        var t7 = Next(t6);
        tweak = Next(t7);
        return new Eight(t0, t1, t2, t3, t4, t5, t6, t7);
    }
}
