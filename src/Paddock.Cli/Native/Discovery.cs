using System.Net.Sockets;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nbd;
using Paddock.Nvme;
using Paddock.Nvme.Host;

namespace Paddock.Cli.Native;

/// <summary>Asks a server for its disks over NVMe/TCP or NBD.</summary>
internal static class Discovery
{
    private const int MostSubsystems = 256;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5), Greeting = TimeSpan.FromMilliseconds(300);

    /// <summary>Lists the disks at a place.</summary>
    /// <exception cref="ToolException">No server answers, or not in a protocol that is known.</exception>
    public static async Task<IReadOnlyList<DiscoveredDisk>> AskAsync(
        DiscoverPlace place, string? hostNqn, CancellationToken cancellationToken)
    {
        string why = "";
        var protocols = place.Protocols.Count == 1 ? place.Protocols
            : await SpeaksFirstAsync(place, cancellationToken) ? [DiskProtocol.Nbd, DiskProtocol.Nvme]
            : [DiskProtocol.Nvme, DiskProtocol.Nbd];
        foreach (var protocol in protocols)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(Patience);
            try
            {
                return protocol == DiskProtocol.Nvme
                    ? await OverNvmeAsync(place, hostNqn, limit.Token) : await OverNbdAsync(place, limit.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                why = $"no answer within {Patience.TotalSeconds:0} s";
            }
            catch (BlockException e) when (
                e.GetBaseException() is SocketException { SocketErrorCode: not SocketError.ConnectionReset } none)
            {
                // nobody listens: the other protocol would not be answered either
                string reason = place.SocketPath is null ? new SocketException(none.ErrorCode).Message
                    : e.Message[(e.Message.LastIndexOf(": ", StringComparison.Ordinal) + 2)..];
                throw new ToolException($"no server answers at {place}: {reason}");
            }
            catch (BlockException e)
            {
                why = e.Message;
            }
        }

        string spoken = string.Join(" or ", place.Protocols.Order().Select(static p => p == DiskProtocol.Nvme ? "NVMe/TCP" : "NBD"));
        throw new ToolException($"no {spoken} server answers at {place}: {why}");
    }

    // NBD servers greet, NVMe/TCP servers wait: the wrong protocol would leave an error in the server's log
    private static async Task<bool> SpeaksFirstAsync(DiscoverPlace place, CancellationToken cancellationToken)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            limit.CancelAfter(Patience);
            await socket.ConnectAsync(place.Host!, place.Port, limit.Token);
            limit.CancelAfter(Greeting);
            return await socket.ReceiveAsync(new byte[1], SocketFlags.None, limit.Token) > 0;
        }
        catch (Exception e) when (e is SocketException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    private static async Task<List<DiscoveredDisk>> OverNvmeAsync(
        DiscoverPlace place, string? hostNqn, CancellationToken cancellationToken)
    {
        var options = new NvmeTcpHostOptions { Host = place.Host!, Port = place.Port, SubsystemNqn = "" };
        options = hostNqn is null ? options : options with { HostNqn = hostNqn };
        var disks = new List<DiscoveredDisk>();
        foreach (var subsystem in (await DiscoveryClient.ListAsync(options, cancellationToken)).Take(MostSubsystems))
        {
            var its = options with
            {
                Host = subsystem.Address, Port = subsystem.Port, SubsystemNqn = subsystem.Nqn,
                Keys = DhChapSecrets.FromEnvironment(Environment.GetEnvironmentVariable),
            };
            disks.AddRange(await NamespacesAsync(its, cancellationToken));
        }

        return disks;
    }

    private static async Task<List<DiscoveredDisk>> NamespacesAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        string host = options.Host.Contains(':', StringComparison.Ordinal) ? $"[{options.Host}]" : options.Host;
        string name = $"nvme+tcp://{host}:{options.Port}/{options.SubsystemNqn}";
        try
        {
            await using var connected = await NvmeTcpHost.ConnectAsync(options, cancellationToken);
            return [.. (await NvmeNode.ListAsync(connected, cancellationToken)).Select(n => new DiscoveredDisk
            {
                Protocol = DiskProtocol.Nvme, Name = n.Id == 1 ? name : $"{name}?ns={n.Id}", Nqn = options.SubsystemNqn, Namespace = n.Id,
                Size = n.Size, BlockSize = n.BlockSize, IsReadOnly = n.IsReadOnly, Zones = n.Zones,
            })];
        }
        catch (BlockException e)
        {
            return [new DiscoveredDisk
            {
                Protocol = DiskProtocol.Nvme, Name = name, Nqn = options.SubsystemNqn,
                Problem = e.Error == BlockError.NotPermitted ? "requires authentication" : e.Message,
            }];
        }
    }

    private static async Task<List<DiscoveredDisk>> OverNbdAsync(DiscoverPlace place, CancellationToken cancellationToken)
    {
        const ushort readOnly = 2;
        var target = new NbdTarget { SocketPath = place.SocketPath, Host = place.Host ?? "localhost", Port = place.Port };
        var exports = await NbdClient.ListAsync(target).WaitAsync(cancellationToken);
        return [.. exports.Select(e => new DiscoveredDisk
        {
            Protocol = DiskProtocol.Nbd, Name = (target with { ExportName = e.Name }).ToString(), Export = e.Name,
            Size = e.Size, BlockSize = e.MinimumBlock, IsReadOnly = (e.Flags & readOnly) != 0,
        })];
    }
}
