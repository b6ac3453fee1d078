using System.Buffers.Binary;
using System.Text;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of a META_CONTEXT reply.
/// <code>
/// offset size
///      0    4  number of the context in block status chunks
///      4    n  name of the context, UTF-8
/// </code>
/// </summary>
/// <param name="Id">The number.</param>
/// <param name="Name">The name.</param>
internal readonly record struct MetaContextReply(uint Id, string Name)
{
    /// <summary>Bytes before the name.</summary>
    public const int HeadSize = sizeof(uint);

    public static MetaContextReply Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectAtLeast(nameof(MetaContextReply), HeadSize, from.Length);
        return new(BinaryPrimitives.ReadUInt32BigEndian(from), NbdString.Text(nameof(MetaContextReply), HeadSize, from[HeadSize..]));
    }

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeadSize + Encoding.UTF8.GetByteCount(Name)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Id);
        Encoding.UTF8.GetBytes(Name, bytes.AsSpan(HeadSize));
        return bytes;
    }
}
