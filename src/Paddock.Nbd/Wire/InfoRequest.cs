using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of INFO and GO.
/// <code>
/// offset size
///      0    4  length of the name
///      4    n  name of the export, UTF-8
///    4+n    2  number of requested information types
///    6+n   2m  their types
/// </code>
/// </summary>
/// <param name="Name">Name of the export.</param>
/// <param name="Wanted">Requested information types.</param>
internal readonly record struct InfoRequest(string Name, InfoType[] Wanted)
{
    /// <exception cref="NbdProtocolException">The lengths do not match the payload, or the name is not valid text.</exception>
    public static InfoRequest Parse(ReadOnlySpan<byte> from)
    {
        string name = NbdString.Parse(nameof(InfoRequest), from, out int at);
        NbdProtocolException.ExpectAtLeast(nameof(InfoRequest), at + sizeof(ushort), from.Length);
        int count = BinaryPrimitives.ReadUInt16BigEndian(from[at..]);
        at += sizeof(ushort);
        NbdProtocolException.ExpectLength(nameof(InfoRequest), at + (count * sizeof(ushort)), from.Length);
        var wanted = new InfoType[count];
        for (int i = 0; i < count; i++)
        {
            wanted[i] = (InfoType)BinaryPrimitives.ReadUInt16BigEndian(from[(at + (i * sizeof(ushort)))..]);
        }

        return new InfoRequest(name, wanted);
    }

    public byte[] ToBytes()
    {
        byte[] name = NbdString.ToBytes(Name);
        byte[] bytes = new byte[name.Length + sizeof(ushort) + (Wanted.Length * sizeof(ushort))];
        name.CopyTo(bytes, 0);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(name.Length), (ushort)Wanted.Length);
        for (int i = 0; i < Wanted.Length; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(name.Length + ((i + 1) * sizeof(ushort))), (ushort)Wanted[i]);
        }

        return bytes;
    }
}
