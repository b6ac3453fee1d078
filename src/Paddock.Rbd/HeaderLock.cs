using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>Reads who holds the exclusive lock of an image, from the image's header, without a thread that waits.</summary>
/// <param name="context">Pool and namespace of the image, for calls of librados.</param>
/// <param name="id">Id of the image.</param>
internal sealed class HeaderLock(nint context, string id)
{
    /// <summary>Result of a reply that cannot be parsed: EIO.</summary>
    private const int Malformed = -5;

    // the class lock, method get_info: version 1, compatible with 1, 12 bytes, the lock's name with its length
    private static readonly byte[] Request = Pinned([1, 1, 12, 0, 0, 0, 8, 0, 0, 0, .. "rbd_lock"u8]);

    private readonly byte[] _reply = GC.AllocateArray<byte>(4096, pinned: true);
    private readonly string _header = "rbd_header." + id;

    /// <summary>Reads the client that holds the lock; one call at a time.</summary>
    /// <returns>
    /// A negative error number, or 0 and the client's number: 0 if nobody holds it, -1 if the holder is no numbered client.
    /// </returns>
    public async Task<(int Result, long Client)> ReadAsync()
    {
        int length = await RadosCall.RunAsync(Start);
        return length < 0 ? (length, 0) : TryParse(_reply.AsSpan(0, Math.Min(length, _reply.Length)), out long client) ? (0, client)
            : (Malformed, 0);
    }

    /// <summary>
    /// Parses the reply of get_info as far as the first holder: a frame (version, compatible version, length), the count of holders; of
    /// each a frame, the type of entity, its number, and more.
    /// </summary>
    internal static bool TryParse(ReadOnlySpan<byte> reply, out long client)
    {
        const int frame = 6, count = 4, clientType = 8;
        client = 0;
        if (reply.Length < frame + count)
        {
            return false;
        }

        var holders = reply[frame..];
        if (BinaryPrimitives.ReadUInt32LittleEndian(holders) == 0)
        {
            return true;
        }

        var entity = holders[count..];
        if (entity.Length < frame + 9)
        {
            return false;
        }

        client = entity[frame] == clientType ? BinaryPrimitives.ReadInt64LittleEndian(entity[(frame + 1)..]) : -1;
        return true;
    }

    private int Start(nint completion)
        => LibRados.Execute(
            context, _header, completion, "lock", "get_info", Marshal.UnsafeAddrOfPinnedArrayElement(Request, 0),
            (nuint)Request.Length, Marshal.UnsafeAddrOfPinnedArrayElement(_reply, 0), (nuint)_reply.Length);

    private static byte[] Pinned(ReadOnlySpan<byte> bytes)
    {
        byte[] pinned = GC.AllocateUninitializedArray<byte>(bytes.Length, pinned: true);
        bytes.CopyTo(pinned);
        return pinned;
    }
}
