using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Adjacent clusters that were allocated together.</summary>
/// <param name="First">The first.</param>
/// <param name="Count">How many.</param>
/// <param name="KnownZero">Whether all of them are known to read as zeroes.</param>
internal readonly record struct ClusterRun(HostCluster First, long Count, bool KnownZero);
