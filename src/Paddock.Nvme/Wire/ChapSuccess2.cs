namespace Paddock.Nvme.Wire;

/// <summary>DH-HMAC-CHAP_Success2: the host found the controller's response right (NVMe base 2.0, 8.13.5.6).</summary>
/// <remarks>
/// <code>
/// 0  6   header
/// 6  10  reserved
/// </code>
/// </remarks>
internal static class ChapSuccess2
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    /// <summary>Writes the message.</summary>
    public static void Write(Span<byte> to, ushort transaction)
    {
        to[..Size].Clear();
        new AuthHeader(AuthMessage.Success2, transaction).WriteTo(to);
    }
}
