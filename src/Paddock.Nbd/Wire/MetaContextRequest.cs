using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of LIST_META_CONTEXT and SET_META_CONTEXT.
/// <code>
/// offset size
///      0    4  length of the name
///      4    n  name of the export, UTF-8
///    4+n    4  how many queries
///    8+n       each query: 4 bytes of length, and the text
/// </code>
/// </summary>
/// <param name="Name">Name of the export.</param>
/// <param name="Queries">Contexts, or prefixes of their names.</param>
internal readonly record struct MetaContextRequest(string Name, string[] Queries)
{
    /// <exception cref="NbdProtocolException">The lengths do not match the payload, or the text is invalid.</exception>
    public static MetaContextRequest Parse(ReadOnlySpan<byte> from)
    {
        string name = NbdString.Parse(nameof(MetaContextRequest), from, out int at);
        NbdProtocolException.ExpectAtLeast(nameof(MetaContextRequest), at + sizeof(uint), from.Length);
        uint count = BinaryPrimitives.ReadUInt32BigEndian(from[at..]);
        at += sizeof(uint);

        // each takes at least four bytes: an impossible count allocates no array
        NbdProtocolException.ExpectAtLeast(nameof(MetaContextRequest), at + ((long)count * sizeof(uint)), from.Length);
        string[] queries = new string[count];
        for (int i = 0; i < queries.Length; i++)
        {
            queries[i] = NbdString.Parse(nameof(MetaContextRequest), from[at..], out int used);
            at += used;
        }

        NbdProtocolException.ExpectLength(nameof(MetaContextRequest), at, from.Length);
        return new MetaContextRequest(name, queries);
    }

    public byte[] ToBytes()
    {
        var parts = new List<byte>(NbdString.ToBytes(Name));
        byte[] count = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(count, (uint)Queries.Length);
        parts.AddRange(count);
        foreach (string query in Queries)
        {
            parts.AddRange(NbdString.ToBytes(query));
        }

        return [.. parts];
    }
}
