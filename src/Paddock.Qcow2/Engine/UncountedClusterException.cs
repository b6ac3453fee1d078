using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>An entry refers to a cluster that has no refcount block: the entry is invalid. No count has changed.</summary>
/// <param name="error">Its kind.</param>
/// <param name="message">What is wrong.</param>
internal sealed class UncountedClusterException(BlockError error, string message) : BlockException(error, message);
