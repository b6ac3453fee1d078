namespace Paddock.Nvme;

/// <summary>An entry of a discovery log: a way to a subsystem over TCP.</summary>
/// <param name="Nqn">Qualified name of the subsystem.</param>
/// <param name="Address">IP address or host name.</param>
/// <param name="Port">TCP port, 1 to 65535.</param>
internal sealed record DiscoveredSubsystem(string Nqn, string Address, int Port);
