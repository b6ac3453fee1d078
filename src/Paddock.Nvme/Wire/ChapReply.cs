using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>
/// DH-HMAC-CHAP_Reply: the host's response, optionally its own challenge, and its public value (NVMe base 2.0, 8.13.5.4).
/// </summary>
/// <remarks>
/// <code>
/// 0   6    header
/// 6   1    HL       bytes of the hash
/// 8   1    CVALID   1: the controller is to answer the challenge
/// 10  2    DHVLEN   bytes of the public value; 0 with the NULL group
/// 12  4    SEQNUM   0 without a challenge
/// 16  HL   the response, then HL bytes of challenge (zero without one), then DHVLEN bytes of the public value, big-endian
/// </code>
/// </remarks>
internal readonly ref struct ChapReply
{
    /// <summary>Bytes before the response.</summary>
    public const int HeaderSize = 16;

    private const int HashLengthField = 6, ChallengesField = 8, PublicLengthField = 10, SequenceField = 12;

    /// <summary>The transaction.</summary>
    public required ushort Transaction { get; init; }

    /// <summary>Whether the controller is challenged.</summary>
    public required bool Challenges { get; init; }

    /// <summary>The sequence number S2.</summary>
    public required uint Sequence { get; init; }

    /// <summary>The response R1, as long as the hash.</summary>
    public required ReadOnlySpan<byte> Response { get; init; }

    /// <summary>The challenge C2, as long as the hash.</summary>
    public required ReadOnlySpan<byte> Challenge { get; init; }

    /// <summary>The host's public value.</summary>
    public required ReadOnlySpan<byte> PublicValue { get; init; }

    /// <summary>Bytes of the message.</summary>
    public int Length => HeaderSize + Response.Length + Challenge.Length + PublicValue.Length;

    /// <summary>Reads a message.</summary>
    /// <returns>False if its length differs from the sum of its fields, or a field has an invalid value.</returns>
    public static bool TryRead(ReadOnlySpan<byte> from, out ChapReply message)
    {
        message = default;
        if (from.Length < HeaderSize)
        {
            return false;
        }

        int hash = from[HashLengthField], value = BinaryPrimitives.ReadUInt16LittleEndian(from[PublicLengthField..]);
        uint sequence = BinaryPrimitives.ReadUInt32LittleEndian(from[SequenceField..]);
        byte challenges = from[ChallengesField];
        if (from.Length != HeaderSize + (2 * hash) + value || challenges > 1 || (challenges == 1 && sequence == 0))
        {
            return false;
        }

        message = new ChapReply
        {
            Transaction = AuthHeader.Read(from).Transaction,
            Challenges = challenges == 1,
            Sequence = sequence,
            Response = from.Slice(HeaderSize, hash),
            Challenge = from.Slice(HeaderSize + hash, hash),
            PublicValue = from[(HeaderSize + (2 * hash))..],
        };
        return true;
    }

    /// <summary>Writes <see cref="Length"/> bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..HeaderSize].Clear();
        new AuthHeader(AuthMessage.Reply, Transaction).WriteTo(to);
        to[HashLengthField] = (byte)Response.Length;
        to[ChallengesField] = (byte)(Challenges ? 1 : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(to[PublicLengthField..], (ushort)PublicValue.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[SequenceField..], Sequence);
        Response.CopyTo(to[HeaderSize..]);
        Challenge.CopyTo(to[(HeaderSize + Response.Length)..]);
        PublicValue.CopyTo(to[(HeaderSize + (2 * Response.Length))..]);
    }
}
