using System.Buffers.Binary;

namespace Paddock.Rbd;

/// <summary>Who has answered a notification, and who has not in time; numbers of clients.</summary>
/// <param name="Answered">Clients that answered.</param>
/// <param name="Silent">Clients that watch the object and did not answer.</param>
internal sealed record NotifyReply(IReadOnlyList<long> Answered, IReadOnlyList<long> Silent)
{
    // far more than there are servers for one image
    private const int MaxClients = 4096;

    /// <summary>
    /// Reads the reply of an OSD (librados.h, rados_aio_notify): a count and the answers (client, watch, length, bytes), then a count and
    /// the others (client, watch).
    /// </summary>
    /// <returns>Null if it is malformed.</returns>
    public static NotifyReply? TryParse(ReadOnlySpan<byte> bytes)
    {
        var answered = new List<long>();
        var silent = new List<long>();
        return TryList(ref bytes, answered, hasData: true) && TryList(ref bytes, silent, hasData: false) ? new(answered, silent) : null;
    }

    private static bool TryList(ref ReadOnlySpan<byte> bytes, List<long> clients, bool hasData)
    {
        if (bytes.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) is not (<= MaxClients and var count))
        {
            return false;
        }

        bytes = bytes[4..];
        int fixedSize = hasData ? 20 : 16;
        for (; count > 0; count--)
        {
            if (bytes.Length < fixedSize)
            {
                return false;
            }

            clients.Add(BinaryPrimitives.ReadInt64LittleEndian(bytes));
            uint data = hasData ? BinaryPrimitives.ReadUInt32LittleEndian(bytes[16..]) : 0;
            if (data > bytes.Length - fixedSize)
            {
                return false;
            }

            bytes = bytes[(fixedSize + (int)data)..];
        }

        return true;
    }
}
