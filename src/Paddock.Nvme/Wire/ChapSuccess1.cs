namespace Paddock.Nvme.Wire;

/// <summary>
/// DH-HMAC-CHAP_Success1: the host is authenticated; the controller's response where it was challenged (NVMe base 2.0, 8.13.5.5).
/// </summary>
/// <remarks>
/// <code>
/// 0   6    header
/// 6   1    HL       bytes of the hash, said with and without a response
/// 8   1    RVALID   1: a response follows
/// 16  HL   the response
/// </code>
/// </remarks>
internal readonly ref struct ChapSuccess1
{
    /// <summary>Bytes before the response.</summary>
    public const int HeaderSize = 16;

    private const int HashLengthField = 6, RespondsField = 8;

    /// <summary>The transaction.</summary>
    public required ushort Transaction { get; init; }

    /// <summary>Bytes of the hash.</summary>
    public required byte HashLength { get; init; }

    /// <summary>The response R2; empty where the controller was not challenged.</summary>
    public required ReadOnlySpan<byte> Response { get; init; }

    /// <summary>Bytes of the message.</summary>
    public int Length => HeaderSize + Response.Length;

    /// <summary>Reads a message; what may follow it in the buffer is ignored.</summary>
    /// <returns>False when its lengths do not fit.</returns>
    public static bool TryRead(ReadOnlySpan<byte> from, out ChapSuccess1 message)
    {
        message = default;
        if (from.Length < HeaderSize || (from[RespondsField] == 1 && HeaderSize + from[HashLengthField] > from.Length))
        {
            return false;
        }

        byte hash = from[HashLengthField];
        message = new ChapSuccess1
        {
            Transaction = AuthHeader.Read(from).Transaction,
            HashLength = hash,
            Response = from[RespondsField] == 1 ? from.Slice(HeaderSize, hash) : default,
        };
        return true;
    }

    /// <summary>Writes <see cref="Length"/> bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..HeaderSize].Clear();
        new AuthHeader(AuthMessage.Success1, Transaction).WriteTo(to);
        to[HashLengthField] = HashLength;
        to[RespondsField] = (byte)(Response.Length > 0 ? 1 : 0);
        Response.CopyTo(to[HeaderSize..]);
    }
}
