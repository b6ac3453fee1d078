using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Logs;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>Reads the discovery log of a server.</summary>
internal static class DiscoveryClient
{
    // entries that are read at most: a server must not fill the memory
    private const int MostEntries = 1024, EntriesAtOnce = 3;

    // the log may change while it is read
    private const int MostTries = 3;

    /// <summary>Lists the subsystems that a server offers to this host over TCP.</summary>
    /// <param name="options">Address of the server and the host's name; the name of the subsystem does not matter.</param>
    /// <param name="cancellationToken">Ends the connection.</param>
    /// <exception cref="BlockException">The server cannot be reached, is no NVMe/TCP server, or has no discovery service.</exception>
    public static async ValueTask<IReadOnlyList<DiscoveredSubsystem>> ListAsync(
        NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        await using var connection = await ControllerConnection.OpenDiscoveryAsync(
            options with { SubsystemNqn = DiscoveryLog.WellKnownNqn, Keys = null }, new SlabPool(1 << 20), cancellationToken);
        await using var abort = cancellationToken.Register(static c => ((ControllerConnection)c!).Abort(), connection);
        for (int tries = 1; ; tries++)
        {
            byte[] header = await ReadAsync(connection, 0, 1, cancellationToken);
            var found = await ReadEntriesAsync(connection, header, cancellationToken);
            byte[] after = await ReadAsync(connection, 0, 1, cancellationToken);
            if (tries == MostTries || GenerationOf(header) == GenerationOf(after))
            {
                return found;
            }
        }
    }

    private static async ValueTask<List<DiscoveredSubsystem>> ReadEntriesAsync(
        ControllerConnection connection, byte[] header, CancellationToken cancellationToken)
    {
        int count = (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(8)), MostEntries);
        var found = new List<DiscoveredSubsystem>();
        for (int first = 0; first < count; first += EntriesAtOnce)
        {
            int some = Math.Min(EntriesAtOnce, count - first);
            byte[] entries = await ReadAsync(connection, first + 1, some, cancellationToken);
            for (int i = 0; i < some; i++)
            {
                if (DiscoveryLog.ReadEntry(entries.AsSpan(i * DiscoveryLog.EntrySize, DiscoveryLog.EntrySize)) is { } subsystem)
                {
                    found.Add(subsystem);
                }
            }
        }

        return found;
    }

    private static ulong GenerationOf(byte[] header) => BinaryPrimitives.ReadUInt64LittleEndian(header);

    private static ValueTask<byte[]> ReadAsync(ControllerConnection connection, int entry, int count, CancellationToken cancellationToken)
        => connection.ReadLogAsync(
            LogPages.Discovery, 0, count * DiscoveryLog.EntrySize, cancellationToken, (uint)entry * DiscoveryLog.EntrySize);
}
