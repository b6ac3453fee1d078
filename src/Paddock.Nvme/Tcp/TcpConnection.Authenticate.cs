using System.Security.Cryptography;
using Paddock.Nvme.Auth;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

// Authentication Send and Receive, and what a queue that must be authenticated takes before it is (NVMe base 2.0, 6 and 8.13)
internal sealed partial class TcpConnection
{
    private static readonly TimeSpan FarewellLimit = TimeSpan.FromMilliseconds(LingerMilliseconds);

    // it has no timer, so that nothing is left of it when it is not disposed
    private readonly CancellationTokenSource _gone = new();
    private QueueAuthentication? _authentication;
    private int _farewell;
    private volatile bool _joined;

    /// <summary>For how long an authentication of the queue has been waited for, or been running; 0: none is.</summary>
    public long AuthenticatingMilliseconds => _controller is null ? 0 : _authentication?.WaitingMilliseconds ?? 0;

    /// <inheritdoc/>
    public bool IsAuthenticating => AuthenticatingMilliseconds > 0;

    /// <summary>Whether the queue is the controller's: the host has connected it, and authenticated it where it must.</summary>
    /// <remarks>A queue that has authenticated and whose number another connection has taken is not.</remarks>
    public bool IsAdmitted => _controller is not null && (_authentication is null || (_joined && _authentication.IsAuthenticated));

    /// <summary>Ends the connection of a host that did not authenticate its queue in time.</summary>
    public void GiveUpAuthentication()
    {
        Fault ??= "authentication took too long";
        Dispose();
    }

    private static bool IsConnect(in SubmissionEntry entry) => entry is { Opcode: Opcode.Fabrics, FabricsType: FabricsType.Connect };

    private static bool IsAuthentication(in SubmissionEntry entry)
        => entry is { Opcode: Opcode.Fabrics, FabricsType: FabricsType.AuthenticationSend or FabricsType.AuthenticationReceive };

    /// <summary>Why a command is refused on this queue as it is now; null: it is not.</summary>
    /// <remarks>
    /// Asked twice: when the command comes, before its data is fetched, and when it starts. Between the two, the data of a command can stay away
    /// for as long as the host likes, and the queue can be connected or lose its authentication.
    /// </remarks>
    private NvmeStatus? Admit(in SubmissionEntry entry) => _controller is null
        ? !IsConnect(entry) ? NvmeStatus.CommandSequence : entry.DataLength != ConnectData.Size ? NvmeStatus.SglLengthInvalid : null
        : !IsAuthentication(entry)
        ? !IsAdmitted ? NvmeStatus.AuthenticationRequired : null
        : _authentication is null ? NvmeStatus.InvalidOpcode
        : entry.Dword10 != AuthHeader.CommandProtocol || entry.Dword11 != entry.DataLength || entry.DataLength is 0 or > AuthHeader.MaxMessage
            ? NvmeStatus.InvalidField : null;

    private async Task RunAuthenticationAsync(Command command)
    {
        var authentication = _authentication!;
        bool before = authentication.IsAuthenticated;
        NvmeStatus status;
        try
        {
            status = command.Entry.FabricsType == FabricsType.AuthenticationSend
                ? await authentication.SendAsync(command.Data)
                : await authentication.ReceiveAsync(command.Data);
            command.Written = command.Data.Length;
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidOperationException or ArgumentException or CryptographicException)
        {
            status = NvmeStatus.InternalError;
        }

        if (!before && authentication.IsAuthenticated)
        {
            Join(authentication);
        }

        command.Finish(status);
        if (authentication.Ended is { } why && Interlocked.Exchange(ref _farewell, 1) == 0)
        {
            Fault ??= why;
            Finish();
            await Task.Delay(FarewellLimit);
            Dispose();
        }
    }

    // the queue's number is taken only now: whoever has no key must not keep it from the host
    private void Join(QueueAuthentication authentication)
    {
        _controller!.Touch();
        if (_queue == 0)
        {
            _target.TellAuthenticated(Host, authentication.Agreed);
        }
        else if (!_controller.Admit(_queue, this))
        {
            Fault ??= $"queue {_queue} of controller {_controller.Id} has been connected by another connection";
            Dispose();
            return;
        }

        _joined = true;
    }
}
