namespace Paddock.Nvme.Wire;

/// <summary>AUTH_Negotiate: the host's offer (NVMe base 2.0, 8.13.5.2).</summary>
/// <remarks>
/// <code>
/// 0   6   header
/// 6   1   SC_C    0: no secure channel is to be made of it
/// 7   1   NAPD    protocol descriptors that follow, 64 bytes each:
///     0   1   AUTHID          1: DH-HMAC-CHAP
///     2   1   HALEN           hashes, at most 30
///     3   1   DHLEN           groups, at most 30
///     4   30  HashIDList
///     34  30  DHgIDList
/// </code>
/// </remarks>
internal static class AuthNegotiate
{
    /// <summary>Bytes of a message with one descriptor.</summary>
    public const int Size = DescriptorsField + DescriptorSize;

    private const int SecureChannelField = 6, CountField = 7, DescriptorsField = 8, DescriptorSize = 64;
    private const int HashCount = 2, GroupCount = 3, Hashes = 4, Groups = 34, MaxIds = 30;
    private const byte DhChap = 1;

    /// <summary>Reads an offer.</summary>
    /// <param name="from">The message.</param>
    /// <param name="hashes">The hashes that the host offers, in its order.</param>
    /// <param name="groups">The groups.</param>
    /// <returns>Reason for rejecting the offer; <see cref="AuthFailure.None"/> if it is acceptable.</returns>
    public static AuthFailure Read(ReadOnlySpan<byte> from, out ReadOnlySpan<byte> hashes, out ReadOnlySpan<byte> groups)
    {
        hashes = groups = default;
        if (from.Length < DescriptorsField || from.Length != DescriptorsField + (from[CountField] * DescriptorSize))
        {
            return AuthFailure.IncorrectPayload;
        }

        if (from[SecureChannelField] != 0)
        {
            return AuthFailure.ConcatenationMismatch;
        }

        for (int at = DescriptorsField; at < from.Length; at += DescriptorSize)
        {
            var descriptor = from.Slice(at, DescriptorSize);
            if (descriptor[0] != DhChap)
            {
                continue;
            }

            if (descriptor[HashCount] > MaxIds || descriptor[GroupCount] > MaxIds)
            {
                return AuthFailure.IncorrectPayload;
            }

            hashes = descriptor.Slice(Hashes, descriptor[HashCount]);
            groups = descriptor.Slice(Groups, descriptor[GroupCount]);
            return AuthFailure.None;
        }

        return AuthFailure.NoUsableProtocol;
    }

    /// <summary>Writes an offer of <see cref="Size"/> bytes.</summary>
    public static void Write(Span<byte> to, ushort transaction, ReadOnlySpan<byte> hashes, ReadOnlySpan<byte> groups)
    {
        to[..Size].Clear();
        new AuthHeader(AuthMessage.Negotiate, transaction).WriteTo(to);
        to[CountField] = 1;
        var descriptor = to.Slice(DescriptorsField, DescriptorSize);
        descriptor[0] = DhChap;
        descriptor[HashCount] = (byte)hashes.Length;
        descriptor[GroupCount] = (byte)groups.Length;
        hashes.CopyTo(descriptor[Hashes..]);
        groups.CopyTo(descriptor[Groups..]);
    }
}
