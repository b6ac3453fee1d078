using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Paddock.Images;
using Paddock.Server.Listeners;

namespace Paddock.Server;

/// <summary>
/// Protocols of a service manager such as systemd: passed listening sockets (sd_listen_fds(3): <c>LISTEN_PID</c>,
/// <c>LISTEN_FDS</c>, <c>LISTEN_FDNAMES</c>) and notifications (sd_notify(3): <c>NOTIFY_SOCKET</c>).
/// </summary>
public sealed class ServiceManager
{
    /// <summary>Valid names of sockets.</summary>
    public static readonly string[] Names = ["nvme", "nbd", "vhost-user", "vfio-user", "metrics", "web", "control"];

    // SD_LISTEN_FDS_START
    private const int FirstDescriptor = 3;
    private const int MaxDescriptors = 64;

    private readonly List<(string Name, int Descriptor)> _handed = [];
    private readonly string? _notify;

    private ServiceManager(string? notify) => _notify = notify;

    /// <summary>No sockets were passed and nobody is notified.</summary>
    public static ServiceManager None { get; } = new(null);

    /// <summary>Reads the environment of a process.</summary>
    /// <param name="variable">Reads an environment variable.</param>
    /// <param name="process">Process ID: sockets meant for another process are ignored.</param>
    /// <param name="first">First descriptor passed.</param>
    /// <exception cref="ToolException">Inconsistent variables, or an unknown socket name.</exception>
    public static ServiceManager Of(Func<string, string?> variable, int process, int first = FirstDescriptor)
    {
        var manager = new ServiceManager(variable("NOTIFY_SOCKET") is { Length: > 1 } path ? path : null);
        if (!int.TryParse(variable("LISTEN_PID"), CultureInfo.InvariantCulture, out int meant) || meant != process
            || !int.TryParse(variable("LISTEN_FDS"), CultureInfo.InvariantCulture, out int count))
        {
            return manager;
        }

        string[] names = variable("LISTEN_FDNAMES")?.Split(':') ?? [];
        if (count is < 0 or > MaxDescriptors || names.Length != count)
        {
            throw new ToolException(
                $"the service manager passed {count} sockets with {names.Length} names: "
                + $"set FileDescriptorName= of each to one of {string.Join(", ", Names)}");
        }

        for (int i = 0; i < count; i++)
        {
            manager._handed.Add(Names.Contains(names[i])
                ? (names[i], first + i)
                : throw new ToolException(
                    $"unknown socket name '{names[i]}': set FileDescriptorName= to one of {string.Join(", ", Names)}"));
        }

        return manager;
    }

    /// <summary>Whether a socket of this name was passed.</summary>
    public bool Has(string name) => _handed.Any(h => h.Name == name);

    /// <summary>Takes the sockets of a name, once.</summary>
    /// <exception cref="ToolException">A descriptor is not a listening socket.</exception>
    internal IReadOnlyList<ListeningSocket> Take(string name)
    {
        var mine = _handed.Where(h => h.Name == name).ToArray();
        _handed.RemoveAll(h => h.Name == name);
        return [.. mine.Select(h => Open(h.Name, h.Descriptor))];
    }

    /// <summary>Reports that the server accepts clients.</summary>
    public void Ready() => Notify("READY=1");

    /// <summary>Reports that the server is stopping.</summary>
    public void Stopping() => Notify("STOPPING=1");

    /// <summary>Reports that settings are being reloaded, until <see cref="Ready"/>.</summary>
    public void Reloading()
        => Notify($"RELOADING=1\nMONOTONIC_USEC={(long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency))}");

    /// <summary>Shows a line in the status of the service (<c>systemctl status</c>).</summary>
    public void Status(string line) => Notify("STATUS=" + line);

    private static ListeningSocket Open(string name, int descriptor)
    {
        try
        {
            var socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
            if (socket.SocketType != SocketType.Stream || socket.LocalEndPoint is not { } at)
            {
                throw new ToolException($"descriptor {descriptor} ('{name}') is not a stream socket");
            }

            return new ListeningSocket(socket, socket.AddressFamily == AddressFamily.Unix ? "unix:" + at : at.ToString()!, null);
        }
        catch (SocketException e)
        {
            throw new ToolException($"descriptor {descriptor} ('{name}') is not a socket: {e.Message}");
        }
    }

    private void Notify(string state)
    {
        if (_notify is null)
        {
            return;
        }

        try
        {
            // a name that begins with @ is an abstract socket
            string path = _notify[0] == '@' ? "\0" + _notify[1..] : _notify;
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTo(Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            // a service manager that does not listen must not stop the server
        }
    }
}
