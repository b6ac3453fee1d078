using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>Reads who holds the exclusive lock of an image, from the image's header, without a thread that waits.</summary>
/// <param name="context">Pool and namespace of the image, for calls of librados.</param>
/// <param name="id">Id of the image.</param>
internal sealed class HeaderLock(nint context, string id) : IHeaderLock
{
    /// <summary>Result of a reply that cannot be parsed: EIO.</summary>
    private const int Malformed = -5;

    // the class lock, method get_info: version 1, compatible with 1, 12 bytes, the lock's name with its length
    private static readonly byte[] Request = Pinned([1, 1, 12, 0, 0, 0, 8, 0, 0, 0, .. "rbd_lock"u8]);

    private readonly byte[] _reply = GC.AllocateArray<byte>(4096, pinned: true);
    private readonly string _header = "rbd_header." + id;

    /// <inheritdoc/>
    public async Task<(int Result, LockHolder Holder)> ReadAsync()
    {
        int length = await RadosCall.RunAsync(Start);
        return length < 0 ? (length, default)
            : TryParse(_reply.AsSpan(0, Math.Min(length, _reply.Length)), out var holder) ? (0, holder) : (Malformed, default);
    }

    /// <summary>
    /// Parses the reply of get_info as far as the first holder: a frame (version, compatible version, length), the count of holders; of
    /// each a frame, the type of entity, its number, the cookie with its length, and more.
    /// </summary>
    internal static bool TryParse(ReadOnlySpan<byte> reply, out LockHolder holder)
    {
        const int frame = 6, count = 4, clientType = 8, entity = 9;
        holder = default;
        if (reply.Length < frame + count)
        {
            return false;
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(reply[frame..]) == 0)
        {
            return true;
        }

        var first = reply[(frame + count)..];
        if (first.Length < frame + entity + 4
            || BinaryPrimitives.ReadUInt32LittleEndian(first[(frame + entity)..]) is var length
            && length > first.Length - frame - entity - 4)
        {
            return false;
        }

        long client = first[frame] == clientType ? BinaryPrimitives.ReadInt64LittleEndian(first[(frame + 1)..]) : -1;
        holder = new LockHolder(client, WatchOf(Encoding.UTF8.GetString(first.Slice(frame + entity + 4, (int)length))));
        return true;
    }

    // librbd's cookie is "auto NUMBER", with the number of the holder's watch
    private static ulong WatchOf(string cookie)
        => ulong.TryParse(cookie.AsSpan(cookie.LastIndexOf(' ') + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong watch)
            ? watch : 0;

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

/// <summary>Who holds the exclusive lock of an image.</summary>
/// <param name="Client">Number of the client; 0 if nobody holds it, -1 if the holder is no numbered client.</param>
/// <param name="Watch">Number of its watch of the image's header; 0 if it is not known.</param>
internal readonly record struct LockHolder(long Client, ulong Watch);
