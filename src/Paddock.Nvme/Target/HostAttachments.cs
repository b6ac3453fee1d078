namespace Paddock.Nvme.Target;

/// <summary>
/// The hosts that a namespace is attached to. A host is known by its name, because controllers of NVMe/TCP hosts are dynamic: a host that
/// reconnects has another controller, which gets the namespaces that the previous one had.
/// </summary>
/// <param name="everyHost">Whether it is attached to all hosts but the named ones; otherwise to the named ones alone.</param>
/// <param name="hosts">The named hosts.</param>
internal sealed class HostAttachments(bool everyHost, IEnumerable<string> hosts)
{
    /// <summary>Maximum number of named hosts; the one named first is forgotten for another.</summary>
    public const int MaxHosts = 1024;

    private readonly List<string> _hosts = [.. hosts.Distinct().Take(MaxHosts)];

    /// <summary>Whether it is attached to all hosts but <see cref="Hosts"/>.</summary>
    public bool EveryHost => everyHost;

    /// <summary>The named hosts.</summary>
    public IReadOnlyList<string> Hosts => _hosts;

    /// <summary>Whether the namespace is attached to a host.</summary>
    public bool Includes(string host) => everyHost != _hosts.Contains(host);

    /// <summary>Attaches the namespace to a host, or detaches it.</summary>
    public void Set(string host, bool attached)
    {
        if (attached == Includes(host))
        {
            return;
        }

        if (!_hosts.Remove(host))
        {
            if (_hosts.Count == MaxHosts)
            {
                _hosts.RemoveAt(0);
            }

            _hosts.Add(host);
        }
    }
}
