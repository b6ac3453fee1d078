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

    /// <summary>For how long an authentication of the queue has been waited for, or been running; 0: none is.</summary>
    public long AuthenticatingMilliseconds => _controller is null ? 0 : _authentication?.WaitingMilliseconds ?? 0;

    /// <inheritdoc/>
    public bool IsAuthenticating => AuthenticatingMilliseconds > 0;

    /// <summary>Ends the connection of a host that did not authenticate its queue in time.</summary>
    public void GiveUpAuthentication()
    {
        Fault ??= "authentication took too long";
        Dispose();
    }

    private static bool IsAuthentication(in SubmissionEntry entry)
        => entry is { Opcode: Opcode.Fabrics, FabricsType: FabricsType.AuthenticationSend or FabricsType.AuthenticationReceive };

    /// <summary>Why a command may not even bring its data; null: it may.</summary>
    private NvmeStatus? Admit(in SubmissionEntry entry) => !IsAuthentication(entry)
        ? _authentication is { IsAuthenticated: false } ? NvmeStatus.AuthenticationRequired : null
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
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidOperationException or ArgumentException or CryptographicException)
        {
            status = NvmeStatus.InternalError;
        }

        if (!before && authentication.IsAuthenticated && _queue == 0)
        {
            _target.TellAuthenticated(Host, authentication.Agreed);
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
}
