using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>DH-HMAC-CHAP_Challenge: the controller's choice, its challenge and its public value (NVMe base 2.0, 8.13.5.3).</summary>
/// <remarks>
/// <code>
/// 0   6    header
/// 6   1    HL       bytes of the hash
/// 8   1    HashID
/// 9   1    DHgID
/// 10  2    DHVLEN   bytes of the public value; 0 with the NULL group
/// 12  4    SEQNUM
/// 16  HL   the challenge, then DHVLEN bytes of the public value, big-endian
/// </code>
/// </remarks>
internal readonly ref struct ChapChallenge
{
    /// <summary>Bytes before the challenge.</summary>
    public const int HeaderSize = 16;

    private const int HashLengthField = 6, HashField = 8, GroupField = 9, PublicLengthField = 10, SequenceField = 12;

    /// <summary>The transaction.</summary>
    public required ushort Transaction { get; init; }

    /// <summary>Identifier of the hash.</summary>
    public required byte Hash { get; init; }

    /// <summary>Identifier of the group.</summary>
    public required byte Group { get; init; }

    /// <summary>The sequence number S1; never 0.</summary>
    public required uint Sequence { get; init; }

    /// <summary>The challenge C1, as long as the hash.</summary>
    public required ReadOnlySpan<byte> Challenge { get; init; }

    /// <summary>The controller's public value.</summary>
    public required ReadOnlySpan<byte> PublicValue { get; init; }

    /// <summary>Bytes of the message.</summary>
    public int Length => HeaderSize + Challenge.Length + PublicValue.Length;

    /// <summary>Reads a message; what may follow it in the buffer is ignored.</summary>
    /// <returns>False when its lengths do not fit.</returns>
    public static bool TryRead(ReadOnlySpan<byte> from, out ChapChallenge message)
    {
        message = default;
        if (from.Length < HeaderSize)
        {
            return false;
        }

        int hash = from[HashLengthField], value = BinaryPrimitives.ReadUInt16LittleEndian(from[PublicLengthField..]);
        if (hash == 0 || HeaderSize + hash + value > from.Length)
        {
            return false;
        }

        message = new ChapChallenge
        {
            Transaction = AuthHeader.Read(from).Transaction,
            Hash = from[HashField],
            Group = from[GroupField],
            Sequence = BinaryPrimitives.ReadUInt32LittleEndian(from[SequenceField..]),
            Challenge = from.Slice(HeaderSize, hash),
            PublicValue = from.Slice(HeaderSize + hash, value),
        };
        return true;
    }

    /// <summary>Writes <see cref="Length"/> bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..HeaderSize].Clear();
        new AuthHeader(AuthMessage.Challenge, Transaction).WriteTo(to);
        to[HashLengthField] = (byte)Challenge.Length;
        to[HashField] = Hash;
        to[GroupField] = Group;
        BinaryPrimitives.WriteUInt16LittleEndian(to[PublicLengthField..], (ushort)PublicValue.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[SequenceField..], Sequence);
        Challenge.CopyTo(to[HeaderSize..]);
        PublicValue.CopyTo(to[(HeaderSize + Challenge.Length)..]);
    }
}
