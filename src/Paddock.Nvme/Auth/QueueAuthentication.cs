using System.Security.Cryptography;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Auth;

/// <summary>
/// The controller's side of DH-HMAC-CHAP on one queue: processes the messages of Authentication Send, and produces those of Authentication
/// Receive. Independent of the connection, which its owner closes when <see cref="Ended"/> is set.
/// </summary>
/// <remarks>
/// <code>
/// Idle --Negotiate--> Choose --(Challenge is fetched)--> Reply --Reply--> Respond --(Success1 is fetched)--> Idle
///                                          where the host challenged the controller: --> Confirm --Success2--> Idle
/// anything else --> Failure --(Failure1 is fetched)--> Ended
/// </code>
/// </remarks>
/// <param name="hostNqn">Name of the host, from Connect.</param>
/// <param name="subsystemNqn">The subsystem's name.</param>
/// <param name="policyOfNow">Returns the current keys and rules, which may change while the host is connected.</param>
/// <param name="gone">
/// Cancelled when the connection ends: its waiting computations leave the queue, which reconnecting clients could fill otherwise.
/// </param>
internal sealed class QueueAuthentication(string hostNqn, string subsystemNqn, Func<DhChapPolicy?> policyOfNow, CancellationToken gone)
{
    private enum Step
    {
        Idle,
        Choose,
        Reply,
        Respond,
        Confirm,
        Failure,
        Ended,
    }

    private readonly byte[] _challenge = new byte[DhChapHashes.MaxLength];
    private Step _step;
    private int _busy;
    private DhChapKeys? _keys;
    private ChapResponse? _response;
    private DhChapGroup _group;
    private DhKeyPair? _pair;
    private uint _sequence;
    private byte[] _answer = [];
    private ushort _transaction;
    private AuthFailure _failure;
    private volatile bool _authenticated;
    private long _since = Environment.TickCount64;

    /// <summary>Whether the host is authenticated. A later exchange changes it only by failing.</summary>
    public bool IsAuthenticated => _authenticated;

    /// <summary>Reason to end the connection; null if it continues.</summary>
    public string? Ended { get; private set; }

    /// <summary>The negotiated parameters, as text.</summary>
    public string Agreed { get; private set; } = "";

    /// <summary>Time for which an exchange has been due or running; 0 if none is.</summary>
    public long WaitingMilliseconds => Volatile.Read(ref _since) is > 0 and var since ? Math.Max(1, Environment.TickCount64 - since) : 0;

    /// <summary>Processes a message of the host.</summary>
    /// <returns>
    /// Status of its command. An invalid message does not fail the command: the host fetches a failure message afterwards.
    /// </returns>
    public async ValueTask<NvmeStatus> SendAsync(ReadOnlyMemory<byte> message)
    {
        if (Interlocked.Exchange(ref _busy, 1) != 0)
        {
            return NvmeStatus.CommandSequence;
        }

        try
        {
            if (_step == Step.Ended)
            {
                return NvmeStatus.CommandSequence;
            }

            var failure = await TakeAsync(message);
            if (failure != AuthFailure.None)
            {
                Fail(failure);
            }

            return NvmeStatus.Success;
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>Returns the next message.</summary>
    /// <param name="room">Buffer for the message; the rest is zeroed.</param>
    public async ValueTask<NvmeStatus> ReceiveAsync(Memory<byte> room)
    {
        if (Interlocked.Exchange(ref _busy, 1) != 0)
        {
            return NvmeStatus.CommandSequence;
        }

        try
        {
            room.Span.Clear();
            switch (_step)
            {
                case Step.Choose:
                    return await ChallengeAsync(room);
                case Step.Respond:
                    return Succeed(room.Span);
                case Step.Failure:
                    return Refuse(room.Span);
                case Step.Ended:
                    return NvmeStatus.CommandSequence;
                default:
                    Fail(AuthFailure.IncorrectMessage);
                    return Refuse(room.Span);
            }
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    private async ValueTask<AuthFailure> TakeAsync(ReadOnlyMemory<byte> message)
    {
        if (message.Length < AuthHeader.Size)
        {
            return AuthFailure.IncorrectPayload;
        }

        var header = AuthHeader.Read(message.Span);
        if (header.Message == AuthMessage.Negotiate && _step == Step.Idle)
        {
            _transaction = header.Transaction;
            return Negotiate(message.Span);
        }

        if ((header.Message, _step) is not ((AuthMessage.Reply, Step.Reply) or (AuthMessage.Success2, Step.Confirm)
            or (AuthMessage.Failure2, Step.Reply or Step.Confirm)))
        {
            return AuthFailure.IncorrectMessage;
        }

        if (header.Transaction != _transaction)
        {
            return AuthFailure.IncorrectPayload;
        }

        switch (header.Message)
        {
            case AuthMessage.Reply:
                return await VerifyAsync(message);
            case AuthMessage.Success2 when message.Length == ChapSuccess2.Size:
                Complete();
                return AuthFailure.None;
            case AuthMessage.Failure2 when message.Length >= AuthFailureMessage.Size:
                End($"the host refused: {AuthFailureMessage.Read(message.Span)}");
                return AuthFailure.None;
            default:
                return AuthFailure.IncorrectPayload;
        }
    }

    private AuthFailure Negotiate(ReadOnlySpan<byte> message)
    {
        Volatile.Write(ref _since, Environment.TickCount64);
        if (AuthNegotiate.Read(message, out var hashes, out var groups) is var failure and not AuthFailure.None)
        {
            return failure;
        }

        if (policyOfNow() is not { } policy || policy.Find(hostNqn) is not { } keys)
        {
            return AuthFailure.AuthenticationFailed;
        }

        byte hash = 0, group = byte.MaxValue;
        foreach (var one in policy.Hashes)
        {
            hash = hash == 0 && hashes.Contains((byte)one) ? (byte)one : hash;
        }

        foreach (var one in policy.Groups)
        {
            group = group == byte.MaxValue && groups.Contains((byte)one) ? (byte)one : group;
        }

        if (hash == 0 || group == byte.MaxValue)
        {
            return hash == 0 ? AuthFailure.HashUnusable : AuthFailure.GroupUnusable;
        }

        _keys = keys;
        _response = new ChapResponse((DhChapHash)hash, _transaction, hostNqn, subsystemNqn);
        _group = (DhChapGroup)group;
        _step = Step.Choose;
        return AuthFailure.None;
    }

    private async ValueTask<NvmeStatus> ChallengeAsync(Memory<byte> room)
    {
        int hash = _response!.Hash.Length();
        if (room.Length < ChapChallenge.HeaderSize + hash + _group.Length())
        {
            return NvmeStatus.InvalidField;
        }

        _pair = _group == DhChapGroup.Null ? null : await DhKeyPair.CreateAsync(_group, gone);
        RandomNumberGenerator.Fill(_challenge);
        _sequence = ChapResponse.NextSequence();
        new ChapChallenge
        {
            Transaction = _transaction,
            Hash = (byte)_response.Hash,
            Group = (byte)_group,
            Sequence = _sequence,
            Challenge = _challenge.AsSpan(0, hash),
            PublicValue = _pair?.PublicValue,
        }.WriteTo(room.Span);
        _step = Step.Reply;
        return NvmeStatus.Success;
    }

    private async ValueTask<AuthFailure> VerifyAsync(ReadOnlyMemory<byte> message)
    {
        int hash = _response!.Hash.Length();
        if (!ChapReply.TryRead(message.Span, out var head) || head.Response.Length != hash
            || (head.PublicValue.Length > 0) != (_pair is not null))
        {
            return AuthFailure.IncorrectPayload;
        }

        byte[]? secret = null;
        if (_pair is not null && (secret = await _pair.AgreeAsync(message[^head.PublicValue.Length..], gone)) is null)
        {
            return AuthFailure.GroupUnusable;
        }

        _ = ChapReply.TryRead(message.Span, out var reply);
        byte[] expected = _response.OfHost(_keys!.Host, _challenge.AsSpan(0, hash), _sequence, secret);
        if (!CryptographicOperations.FixedTimeEquals(expected, reply.Response))
        {
            return AuthFailure.AuthenticationFailed;
        }

        if (reply.Challenges && _keys.Controller is null)
        {
            return AuthFailure.AuthenticationFailed;
        }

        _answer = reply.Challenges ? _response.OfController(_keys.Controller!, reply.Challenge, reply.Sequence, secret) : [];
        _step = Step.Respond;
        return AuthFailure.None;
    }

    private NvmeStatus Succeed(Span<byte> room)
    {
        var message = new ChapSuccess1 { Transaction = _transaction, HashLength = (byte)_response!.Hash.Length(), Response = _answer };
        if (room.Length < message.Length)
        {
            return NvmeStatus.InvalidField;
        }

        message.WriteTo(room);
        if (_answer.Length > 0)
        {
            _step = Step.Confirm;
        }
        else
        {
            Complete();
        }

        return NvmeStatus.Success;
    }

    private void Complete()
    {
        Agreed = $"{_response!.Hash}, {_group}, {(_answer.Length > 0 ? "both ways" : "one way")}";
        Forget();
        _step = Step.Idle;
        _authenticated = true;
        Volatile.Write(ref _since, 0);
    }

    private NvmeStatus Refuse(Span<byte> room)
    {
        if (room.Length < AuthFailureMessage.Size)
        {
            return NvmeStatus.InvalidField;
        }

        AuthFailureMessage.Write(room, AuthMessage.Failure1, _transaction, _failure);
        End($"authentication failed: {_failure}");
        return NvmeStatus.Success;
    }

    private void Fail(AuthFailure failure)
    {
        Forget();
        _authenticated = false;
        _failure = failure;
        _step = Step.Failure;

        // the host has as long to fetch the failure as it had for the exchange
        Interlocked.CompareExchange(ref _since, Environment.TickCount64, 0);
    }

    private void End(string why)
    {
        Forget();
        _authenticated = false;
        _step = Step.Ended;
        Ended = why;
    }

    private void Forget()
    {
        CryptographicOperations.ZeroMemory(_challenge);
        _pair = null;
        _answer = [];
    }
}
