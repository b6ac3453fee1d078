using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>Connects a queue to its controller, and authenticates it where required (NVMe base 2.0, 6.3 and 8.13).</summary>
internal sealed class QueueLogin(NvmeTcpHostOptions options)
{
    // AUTHREQ in the result of Connect
    private const uint AuthenticationRequired = 1 << 17, SecureChannelRequired = 1 << 18;

    // the same size as in Linux: the longest message of a controller, a challenge with ffdhe8192, has 1104 bytes
    private const int MessageRoom = 4096;

    private readonly UInt128 _hostId = 0x7061646f_636b;

    /// <summary>Sends Connect and authenticates.</summary>
    /// <param name="queue">The queue.</param>
    /// <param name="number">0 for the admin queue.</param>
    /// <param name="entries">Size of the queue.</param>
    /// <param name="controller">The controller; <see cref="ConnectData.AnyController"/> for the admin queue.</param>
    /// <param name="keepAlive">Keep alive timeout in milliseconds; of the admin queue only.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>The controller's identifier.</returns>
    public async ValueTask<ushort> ConnectAsync(
        HostQueue queue, ushort number, int entries, ushort controller, uint keepAlive, CancellationToken cancellationToken)
    {
        const uint noFlowControl = 1 << 18;
        byte[] data = new byte[ConnectData.Size];
        new ConnectData(_hostId, controller, options.SubsystemNqn, options.HostNqn).WriteTo(data);
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.Fabrics,
            NamespaceId = FabricsType.Connect,
            Dword10 = (uint)number << 16,
            Dword11 = (uint)(entries - 1) | noFlowControl,
            Dword12 = keepAlive,
        };
        var answer = await queue.RunAsync(entry, data, default, cancellationToken);
        if (answer.Status != NvmeStatus.Success)
        {
            throw ConnectRejectedException.Of(answer, options);
        }

        await AuthenticateAsync(queue, answer.Result, cancellationToken);
        return (ushort)answer.Result;
    }

    private async ValueTask AuthenticateAsync(HostQueue queue, ulong connected, CancellationToken cancellationToken)
    {
        if ((connected & SecureChannelRequired) != 0)
        {
            throw new BlockException(
                BlockError.NotSupported, $"'{options.SubsystemNqn}' requires a secure channel, which is not supported");
        }

        bool required = (connected & AuthenticationRequired) != 0;
        if (options.Keys is not { } keys)
        {
            if (required)
            {
                throw new BlockException(
                    BlockError.NotPermitted, $"'{options.SubsystemNqn}' requires authentication, and no key is configured for it");
            }

            return;
        }

        // a controller that must prove itself is asked to, even if it does not require authentication
        if (!required && keys.Controller is null)
        {
            return;
        }

        var exchange = new HostAuthentication(options, keys);
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

            throw new BlockException(BlockError.NotPermitted, $"authentication at '{options.SubsystemNqn}' failed: {e.Message}");
        }
    }

    private static async ValueTask SendAsync(HostQueue queue, byte[] message, CancellationToken cancellationToken)
    {
        var answer = await queue.RunAsync(Entry(FabricsType.AuthenticationSend, message.Length), message, default, cancellationToken);
        answer.Check("authentication");
    }

    private static async ValueTask<byte[]> ReceiveAsync(HostQueue queue, CancellationToken cancellationToken)
    {
        byte[] room = new byte[MessageRoom];
        var answer = await queue.RunAsync(Entry(FabricsType.AuthenticationReceive, room.Length), default, room, cancellationToken);
        answer.Check("authentication");
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
            // best effort; the connection ends either way
        }
    }

    private static SubmissionEntry Entry(byte type, int length) => new()
    {
        Opcode = Opcode.Fabrics, NamespaceId = type, Dword10 = AuthHeader.CommandProtocol, Dword11 = (uint)length,
    };
}
