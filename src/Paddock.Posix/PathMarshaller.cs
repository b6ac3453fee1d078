using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Passes file names to the C library as the bytes that they stand for (<see cref="ByteText"/>).</summary>
[CustomMarshaller(typeof(string), MarshalMode.ManagedToUnmanagedIn, typeof(PathMarshaller))]
internal static unsafe class PathMarshaller
{
    /// <summary>The name with a zero at its end, in memory of its own.</summary>
    public static byte* ConvertToUnmanaged(string path)
    {
        byte[] bytes = ByteText.ToPath(path);
        byte* copy = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(copy, bytes.Length));
        return copy;
    }

    /// <summary>Frees the memory.</summary>
    public static void Free(byte* path) => NativeMemory.Free(path);
}
