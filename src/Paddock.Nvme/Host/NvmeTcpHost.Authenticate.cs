using Paddock.Block;
using Paddock.Nvme.Host;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

// in-band authentication of a queue, right after its Connect (NVMe base 2.0, 8.13)
public sealed partial class NvmeTcpHost
{
    // AUTHREQ in the result of Connect
    private const uint AuthenticationRequired = 1 << 17, SecureChannelRequired = 1 << 18;

    // as much room as Linux gives: the longest message of a controller, a challenge with ffdhe8192, has 1104 bytes
    private const int MessageRoom = 4096;

    private async ValueTask AuthenticateAsync(HostQueue queue, ulong connected, CancellationToken cancellationToken)
    {
        if ((connected & SecureChannelRequired) != 0)
        {
            throw new BlockException(BlockError.NotSupported, $"'{_options.SubsystemNqn}' asks for a secure channel, which is not supported");
        }

        bool required = (connected & AuthenticationRequired) != 0;
        if (_options.Keys is not { } keys)
        {
            if (required)
            {
                throw new BlockException(BlockError.NotPermitted, $"'{_options.SubsystemNqn}' asks for authentication, and there is no key for it");
            }

            return;
        }

        // a controller that must prove itself is asked to, whatever it asks for
        if (!required && keys.Controller is null)
        {
            return;
        }

        var exchange = new HostAuthentication(_options, keys);
        try
        {
            await SendAsync(queue, exchange.Negotiate(), cancellationToken);
            await SendAsync(queue, await exchange.ReplyAsync(await ReceiveAsync(queue, cancellationToken)), cancellationToken);
            if (exchange.Confirm(await ReceiveAsync(queue, cancellationToken)) is { } last)
            {
                await SendAsync(queue, last, cancellationToken);
            }
        }
        catch (AuthException e)
        {
            if (e.Failure is { } failure)
            {
                await TryRefuseAsync(queue, exchange.Refuse(failure), cancellationToken);
            }

            throw new BlockException(BlockError.NotPermitted, $"authentication at '{_options.SubsystemNqn}' failed: {e.Message}");
        }
    }

    private static async ValueTask SendAsync(HostQueue queue, byte[] message, CancellationToken cancellationToken)
        => Check(await queue.RunAsync(Authentication(FabricsType.AuthenticationSend, message.Length), message, default, cancellationToken), "authentication");

    private static async ValueTask<byte[]> ReceiveAsync(HostQueue queue, CancellationToken cancellationToken)
    {
        byte[] room = new byte[MessageRoom];
        Check(await queue.RunAsync(Authentication(FabricsType.AuthenticationReceive, room.Length), default, room, cancellationToken), "authentication");
        return room;
    }

    private static async ValueTask TryRefuseAsync(HostQueue queue, byte[] message, CancellationToken cancellationToken)
    {
        try
        {
            await SendAsync(queue, message, cancellationToken);
        }
        catch (BlockException)
        {
            // it is told out of courtesy; the connection ends either way
        }
    }

    private static SubmissionEntry Authentication(byte type, int length) => new()
    {
        Opcode = Opcode.Fabrics, NamespaceId = type, Dword10 = AuthHeader.CommandProtocol, Dword11 = (uint)length,
    };
}
