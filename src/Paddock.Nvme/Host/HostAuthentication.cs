using System.Buffers.Binary;
using System.Security.Cryptography;
using Paddock.Nvme.Auth;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>
/// The host's side of DH-HMAC-CHAP for one queue: makes its messages from those of the controller. Independent of the connection.
/// </summary>
/// <param name="options">The keys and names, and what may be agreed.</param>
/// <param name="keys">Key of the host, and of the controller if the controller must authenticate too.</param>
internal sealed class HostAuthentication(NvmeTcpHostOptions options, DhChapKeys keys)
{
    private readonly ushort _transaction = BinaryPrimitives.ReadUInt16LittleEndian(RandomNumberGenerator.GetBytes(sizeof(ushort)));
    private byte[] _expected = [];
    private int _hashLength;

    /// <summary>The offer.</summary>
    public byte[] Negotiate()
    {
        byte[] message = new byte[AuthNegotiate.Size];
        byte[] hashes = [.. options.Hashes.Select(h => (byte)h)], groups = [.. options.Groups.Select(g => (byte)g)];
        AuthNegotiate.Write(message, _transaction, hashes, groups);
        return message;
    }

    /// <summary>Computes the reply to a challenge.</summary>
    /// <exception cref="AuthException">The controller rejected the host, or its message is invalid.</exception>
    public async ValueTask<byte[]> ReplyAsync(ReadOnlyMemory<byte> message)
    {
        var group = CheckChallenge(message.Span, out var response, out int valueLength);
        var pair = group == DhChapGroup.Null ? null : await DhKeyPair.CreateAsync(group);
        byte[]? secret = null;
        if (pair is not null)
        {
            var value = message.Slice(ChapChallenge.HeaderSize + _hashLength, valueLength);
            secret = await pair.AgreeAsync(value)
                ?? throw new AuthException(AuthFailure.GroupUnusable, "its public value is not in the group");
        }

        _ = ChapChallenge.TryRead(message.Span, out var challenge);
        byte[] own = keys.Controller is null ? new byte[_hashLength] : RandomNumberGenerator.GetBytes(_hashLength);
        uint sequence = keys.Controller is null ? 0 : ChapResponse.NextSequence();
        _expected = keys.Controller is null ? [] : response.OfController(keys.Controller, own, sequence, secret);
        var reply = new ChapReply
        {
            Transaction = _transaction,
            Challenges = keys.Controller is not null,
            Sequence = sequence,
            Response = response.OfHost(keys.Host, challenge.Challenge, challenge.Sequence, secret),
            Challenge = own,
            PublicValue = pair?.PublicValue,
        };
        byte[] bytes = new byte[reply.Length];
        reply.WriteTo(bytes);
        return bytes;
    }

    /// <summary>Returns the final message, if one is due: the response of the controller was correct.</summary>
    /// <exception cref="AuthException">The controller rejected the host, or failed to authenticate.</exception>
    public byte[]? Confirm(ReadOnlySpan<byte> message)
    {
        CheckHeader(message, AuthMessage.Success1);
        if (!ChapSuccess1.TryRead(message, out var success) || success.HashLength != _hashLength)
        {
            throw new AuthException(AuthFailure.IncorrectPayload, "its success message has a wrong length");
        }

        if (keys.Controller is null)
        {
            return null;
        }

        if (!CryptographicOperations.FixedTimeEquals(_expected, success.Response))
        {
            throw new AuthException(AuthFailure.AuthenticationFailed, "it did not prove that it has the controller's key");
        }

        byte[] last = new byte[ChapSuccess2.Size];
        ChapSuccess2.Write(last, _transaction);
        return last;
    }

    /// <summary>Creates the failure message for the controller.</summary>
    public byte[] Refuse(AuthFailure failure)
    {
        byte[] message = new byte[AuthFailureMessage.Size];
        AuthFailureMessage.Write(message, AuthMessage.Failure2, _transaction, failure);
        return message;
    }

    private DhChapGroup CheckChallenge(ReadOnlySpan<byte> message, out ChapResponse response, out int valueLength)
    {
        CheckHeader(message, AuthMessage.Challenge);
        if (!ChapChallenge.TryRead(message, out var challenge))
        {
            throw new AuthException(AuthFailure.IncorrectPayload, "its challenge has a wrong length");
        }

        var (hash, group) = ((DhChapHash)challenge.Hash, (DhChapGroup)challenge.Group);
        if (!options.Hashes.Contains(hash) || challenge.Challenge.Length != hash.Length())
        {
            throw new AuthException(AuthFailure.HashUnusable, $"it chose hash {challenge.Hash}, which was not offered");
        }

        if (!options.Groups.Contains(group) || (challenge.PublicValue.Length > 0) != (group != DhChapGroup.Null))
        {
            throw new AuthException(AuthFailure.GroupUnusable, $"it chose group {challenge.Group}, which was not offered");
        }

        _hashLength = hash.Length();
        valueLength = challenge.PublicValue.Length;
        response = new ChapResponse(hash, _transaction, options.HostNqn, options.SubsystemNqn);
        return group;
    }

    private void CheckHeader(ReadOnlySpan<byte> message, AuthMessage due)
    {
        var header = AuthHeader.Read(message);
        if (header.Message == AuthMessage.Failure1)
        {
            throw new AuthException(null, $"it refused: {AuthFailureMessage.Read(message)}");
        }

        if (header.Message != due || header.Transaction != _transaction)
        {
            throw new AuthException(
                AuthFailure.IncorrectMessage, $"it sent message {(int)header.Message:x4}h of transaction {header.Transaction}");
        }
    }
}

/// <summary>The host cannot continue an authentication.</summary>
/// <param name="failure">Failure to report to the controller; null if the controller reported it.</param>
/// <param name="message">What the controller did.</param>
internal sealed class AuthException(AuthFailure? failure, string message) : Exception(message)
{
    /// <summary>Failure to report to the controller; null if the controller reported it.</summary>
    public AuthFailure? Failure => failure;
}
