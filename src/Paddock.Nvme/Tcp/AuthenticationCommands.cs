using System.Security.Cryptography;
using Paddock.Nvme.Auth;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>Authentication Send and Receive of one connection (NVMe base 2.0, 6 and 8.13), and what their outcome means for it.</summary>
internal sealed class AuthenticationCommands(NvmeTarget target, QueueAdmission admission, IQueueConnection connection)
{
    /// <summary>Runs a command of an authentication, and completes it.</summary>
    public async Task RunAsync(Command command)
    {
        var authentication = admission.Authentication!;
        bool wasAuthenticated = authentication.IsAuthenticated;
        NvmeStatus status;
        try
        {
            status = command.Entry.FabricsType == FabricsType.AuthenticationSend
                ? await authentication.SendAsync(command.Data)
                : await authentication.ReceiveAsync(command.Data);
            command.Written = command.Data.Length;
        }
        catch (Exception e) when (
            e is OperationCanceledException or InvalidOperationException or ArgumentException or CryptographicException)
        {
            status = NvmeStatus.InternalError;
        }

        if (!wasAuthenticated && authentication.IsAuthenticated)
        {
            Join(authentication);
        }

        command.Finish(status);
        if (authentication.Ended is { } why)
        {
            connection.EndAfterAnswers(why);
        }
    }

    // the queue's number is taken only now: a connection without a key must not block it
    private void Join(QueueAuthentication authentication)
    {
        var (controller, queue) = (admission.Controller!, admission.Queue);
        controller.Touch();
        if (queue == 0)
        {
            target.TellAuthenticated(controller.Host, authentication.Agreed);
        }
        else if (!controller.Admit(queue, connection))
        {
            connection.End($"queue {queue} of controller {controller.Id} has been connected by another connection");
            return;
        }

        admission.Join();
        connection.Admitted();
    }
}
