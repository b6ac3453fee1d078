using Paddock.Block;

namespace Paddock.Qcow2.Snapshots;

/// <summary>The L1 table of a snapshot cannot be read: its size or its offset is invalid.</summary>
internal sealed class SnapshotL1Exception(BlockError error, string message) : BlockException(error, message);
