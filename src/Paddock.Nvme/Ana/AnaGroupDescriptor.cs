using System.Buffers.Binary;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Ana;

/// <summary>Descriptor of a group in the ANA log (NVMe base 2.0, 5.16.1.13).</summary>
/// <remarks>
/// <code>
/// 0   4      group identifier (ANAGRPID)
/// 4   4      number of namespace identifiers, n; 0 if only groups are requested
/// 8   8      change count
/// 16  1      state, in 3:0
/// 17  15     reserved
/// 32  4 * n  namespace identifiers, ascending
/// </code>
/// </remarks>
internal sealed record AnaGroupDescriptor(uint GroupId, AnaState State, ulong Changes, IReadOnlyList<uint> Namespaces)
{
    /// <summary>Bytes before the namespace identifiers.</summary>
    public const int HeaderSize = 32;

    private const int CountField = 4, ChangesField = 8, StateField = 16, NamespaceSize = 4;
    private const byte StateBits = 0xF;

    /// <summary>Bytes.</summary>
    public int Size => HeaderSize + (NamespaceSize * Namespaces.Count);

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        var f = new Fields(to);
        f.U32(0, GroupId);
        f.U32(CountField, (uint)Namespaces.Count);
        f.U64(ChangesField, Changes);
        f.U8(StateField, (byte)State);
        for (int i = 0; i < Namespaces.Count; i++)
        {
            f.U32(HeaderSize + (NamespaceSize * i), Namespaces[i]);
        }
    }

    /// <summary>Reads a descriptor; null if it is cut or has an unknown state.</summary>
    public static AnaGroupDescriptor? Read(ReadOnlySpan<byte> from)
    {
        if (from.Length < HeaderSize)
        {
            return null;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(from[CountField..]);
        var state = (AnaState)(from[StateField] & StateBits);
        if (count > (uint)(from.Length - HeaderSize) / NamespaceSize || !Enum.IsDefined(state))
        {
            return null;
        }

        var namespaces = new uint[count];
        for (int i = 0; i < namespaces.Length; i++)
        {
            namespaces[i] = BinaryPrimitives.ReadUInt32LittleEndian(from[(HeaderSize + (NamespaceSize * i))..]);
        }

        ulong changes = BinaryPrimitives.ReadUInt64LittleEndian(from[ChangesField..]);
        return new AnaGroupDescriptor(BinaryPrimitives.ReadUInt32LittleEndian(from), state, changes, namespaces);
    }
}
