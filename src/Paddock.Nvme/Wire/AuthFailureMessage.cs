namespace Paddock.Nvme.Wire;

/// <summary>AUTH_Failure1, from the controller, and AUTH_Failure2, from the host: the exchange is over (NVMe base 2.0, 8.13).</summary>
/// <remarks>
/// <code>
/// 0  6  header
/// 6  1  reason       1: authentication failed
/// 7  1  explanation
/// </code>
/// </remarks>
internal static class AuthFailureMessage
{
    /// <summary>Bytes.</summary>
    public const int Size = 8;

    private const int ReasonField = 6, ExplanationField = 7;
    private const byte AuthenticationFailed = 1;

    /// <summary>The explanation of a message that is long enough.</summary>
    public static AuthFailure Read(ReadOnlySpan<byte> from) => (AuthFailure)from[ExplanationField];

    /// <summary>Writes the message.</summary>
    public static void Write(Span<byte> to, AuthMessage message, ushort transaction, AuthFailure explanation)
    {
        to[..Size].Clear();
        new AuthHeader(message, transaction).WriteTo(to);
        to[ReasonField] = AuthenticationFailed;
        to[ExplanationField] = (byte)explanation;
    }
}

/// <summary>Explanations of a failed authentication.</summary>
internal enum AuthFailure : byte
{
    /// <summary>It has not failed.</summary>
    None = 0,

    /// <summary>A response is wrong, or there is no key for it.</summary>
    AuthenticationFailed = 1,

    /// <summary>No common protocol.</summary>
    NoUsableProtocol = 2,

    /// <summary>A secure channel is requested.</summary>
    ConcatenationMismatch = 3,

    /// <summary>No common hash.</summary>
    HashUnusable = 4,

    /// <summary>No common group, or the value is not in the group.</summary>
    GroupUnusable = 5,

    /// <summary>A field or a length is wrong.</summary>
    IncorrectPayload = 6,

    /// <summary>Not the message that is due.</summary>
    IncorrectMessage = 7,
}
