using System.Runtime.Versioning;

namespace Paddock.Posix;

/// <summary>
/// Copies from and to memory of this process that may be missing: the kernel copies (process_vm_readv(2)), so that a page which cannot be
/// had is an error, not a signal that ends the process.
/// </summary>
[SupportedOSPlatform("linux")]
internal static unsafe class GuardedCopy
{
    /// <summary>Whether the kernel permits it: a sandbox may not.</summary>
    public static bool IsAvailable { get; } = Probe();

    /// <summary>Copies from memory that may be missing.</summary>
    /// <returns>False if a page is missing; some bytes may have been copied.</returns>
    public static bool TryRead(nint from, Span<byte> to)
    {
        fixed (byte* start = to)
        {
            var mine = new Native.Piece { Start = start, Length = (nuint)to.Length };
            var guarded = new Native.Piece { Start = (void*)from, Length = (nuint)to.Length };
            return Native.ReadProcess(Environment.ProcessId, &mine, 1, &guarded, 1, 0) == to.Length;
        }
    }

    /// <summary>Copies to memory that may be missing.</summary>
    /// <returns>False if a page is missing; some bytes may have been copied.</returns>
    public static bool TryWrite(nint to, ReadOnlySpan<byte> from)
    {
        fixed (byte* start = from)
        {
            var mine = new Native.Piece { Start = start, Length = (nuint)from.Length };
            var guarded = new Native.Piece { Start = (void*)to, Length = (nuint)from.Length };
            return Native.WriteProcess(Environment.ProcessId, &mine, 1, &guarded, 1, 0) == from.Length;
        }
    }

    private static bool Probe()
    {
        byte value = 1;
        return TryRead((nint)(&value), stackalloc byte[1]) && TryWrite((nint)(&value), [0]) && value == 0;
    }
}
