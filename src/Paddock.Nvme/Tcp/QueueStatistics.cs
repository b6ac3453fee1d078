using Paddock.Block.Serving;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme;

/// <summary>Counters of one queue's connection; every member may be read at any time.</summary>
public sealed class QueueStatistics
{
    private readonly LatencyTable _latencies;
    private long _commands;

    internal QueueStatistics(LatencyTable latencies) => _latencies = latencies;

    /// <summary>The kinds by which latencies are counted.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["read", "write", "append", "flush", "zone", "other", "admin"];

    /// <summary>Commands that were completed.</summary>
    public long Commands => Volatile.Read(ref _commands);

    /// <summary>Sum of their latencies.</summary>
    public TimeSpan TotalLatency => Enumerable.Range(0, Kinds.Count).Aggregate(TimeSpan.Zero, (sum, kind) => sum + _latencies.SumOf(kind));

    internal void Count(byte opcode, bool isAdmin, long startedAt)
    {
        Interlocked.Increment(ref _commands);
        _latencies.Count(isAdmin ? 6 : KindOf(opcode), startedAt);
    }

    private static int KindOf(byte opcode) => opcode switch
    {
        Opcode.Read => 0,
        Opcode.Write => 1,
        Opcode.ZoneAppend => 2,
        Opcode.Flush => 3,
        Opcode.ZoneManagementSend or Opcode.ZoneManagementReceive => 4,
        _ => 5,
    };
}
