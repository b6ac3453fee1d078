using System.Globalization;
using System.Net;
using System.Text;
using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Server.Listeners;

/// <summary>Where clients reach a disk.</summary>
/// <param name="Listener">Name of the listener, <c>nvme</c>, <c>nbd</c>, <c>vhost-user</c> or <c>vfio-user</c>.</param>
/// <param name="Disk">Name of the disk; empty for an NVMe subsystem in which hosts have not created a namespace yet.</param>
/// <param name="Uri">
/// Name for clients: <c>nvme+tcp://</c>, <c>nbd://</c>, <c>nbd+unix://</c>, or <c>unix:PATH</c> for virtual machines.
/// </param>
/// <param name="Host">Address for clients on this machine; null for a Unix socket.</param>
/// <param name="Port">TCP port; 0 for a Unix socket.</param>
/// <param name="Socket">Absolute path of the Unix socket; null for TCP.</param>
/// <param name="IsZoned">Whether clients see zones there; NBD has no commands for them.</param>
/// <param name="Nqn">NVMe subsystem; null for other listeners.</param>
/// <param name="NamespaceId">NVMe namespace; 0 for other listeners.</param>
public sealed record ServedEndpoint(
    string Listener, string Disk, string Uri, string? Host, int Port, string? Socket, bool IsZoned, string? Nqn = null,
    uint NamespaceId = 0)
{
    private const string VfioUserName = "vfio-user";

    /// <summary>
    /// Command that connects a Linux host, or starts a virtual machine with the device; null if the listener is not NVMe.
    /// </summary>
    public string? ConnectCommand
        => Nqn is null ? null : Listener == VfioUserName
            ? "qemu-system-x86_64 -m 2G -object memory-backend-memfd,id=m0,size=2G,share=on -machine q35,memory-backend=m0 -device "
            + $"'{{\"driver\":\"vfio-user-pci\",\"socket\":{{\"path\":{JsonText.Compact(Socket)},\"type\":\"unix\"}}}}'"
            : $"nvme connect -t tcp -a {Host} -s {Port.ToString(CultureInfo.InvariantCulture)} -n {Nqn}";

    /// <summary>An NBD export.</summary>
    /// <param name="listener">Listening socket.</param>
    /// <param name="export">Name of the export.</param>
    /// <param name="tls">Whether clients must use TLS.</param>
    internal static ServedEndpoint Nbd(ListeningSocket listener, string export, bool tls)
    {
        string scheme = tls ? "nbds" : "nbd", name = Percent(export);
        if (SocketOf(listener) is { } path)
        {
            return new ServedEndpoint("nbd", export, $"{scheme}+unix:///{name}?socket={Percent(path)}", null, 0, path, IsZoned: false);
        }

        var (host, port) = HostOf(listener);
        return new ServedEndpoint("nbd", export, $"{scheme}://{InUri(host)}:{port}/{name}", host, port, null, IsZoned: false);
    }

    /// <summary>An NVMe namespace.</summary>
    /// <param name="listener">Listening socket.</param>
    /// <param name="ns">The namespace.</param>
    /// <param name="disk">Name of the disk.</param>
    internal static ServedEndpoint Nvme(ListeningSocket listener, Disks.ServedNamespace ns, string disk)
    {
        var (host, port) = HostOf(listener);
        uint id = ns.Namespace.Id;
        string uri = $"nvme+tcp://{InUri(host)}:{port}/{ns.Subsystem.Nqn}{(id == 1 ? "" : $"?ns={id}")}";
        return new ServedEndpoint("nvme", disk, uri, host, port, null, ns.Namespace.Zones is not null, ns.Subsystem.Nqn, id);
    }

    /// <summary>An NVMe subsystem that has no namespaces yet.</summary>
    internal static ServedEndpoint Nvme(ListeningSocket listener, Nvme.NvmeSubsystem subsystem)
    {
        var (host, port) = HostOf(listener);
        return new ServedEndpoint("nvme", "", $"nvme+tcp://{InUri(host)}:{port}/{subsystem.Nqn}", host, port, null, false, subsystem.Nqn);
    }

    /// <summary>A vhost-user socket.</summary>
    internal static ServedEndpoint VhostUser(ListeningSocket listener, string disk, bool isZoned)
    {
        string path = SocketOf(listener) ?? listener.Address;
        return new ServedEndpoint("vhost-user", disk, ListenAddress.UnixPrefix + path, null, 0, path, isZoned);
    }

    /// <summary>An NVMe namespace of a controller on a virtual machine's PCI bus.</summary>
    internal static ServedEndpoint VfioUser(ListeningSocket listener, Disks.ServedNamespace ns)
    {
        string path = SocketOf(listener) ?? listener.Address;
        return new ServedEndpoint(
            VfioUserName, ns.Disk.Name, ListenAddress.UnixPrefix + path, null, 0, path, ns.Namespace.Zones is not null, ns.Subsystem.Nqn,
            ns.Namespace.Id);
    }

    private static string? SocketOf(ListeningSocket listener)
        => ListenAddress.SocketOf(listener.Address) is { } path ? Path.GetFullPath(path) : null;

    // a wildcard address is not one that a client can connect to
    private static (string Host, int Port) HostOf(ListeningSocket listener)
    {
        var at = (IPEndPoint)listener.Socket.LocalEndPoint!;
        var host = at.Address.Equals(IPAddress.Any) ? IPAddress.Loopback
            : at.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : at.Address;
        return (host.ToString(), at.Port);
    }

    private static string InUri(string host) => host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host;

    // paths are bytes, which need not be UTF-8
    private static string Percent(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (byte b in ByteText.ToBytes(text))
        {
            if (char.IsAsciiLetterOrDigit((char)b) || (char)b is '/' or '-' or '_' or '.' or '~')
            {
                escaped.Append((char)b);
            }
            else
            {
                escaped.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
            }
        }

        return escaped.ToString();
    }
}
