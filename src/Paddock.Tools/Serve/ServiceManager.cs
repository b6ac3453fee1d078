using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve;

/// <summary>
/// What a service manager such as systemd hands over and wants to hear: listening sockets (sd_listen_fds(3): <c>LISTEN_PID</c>,
/// <c>LISTEN_FDS</c>, <c>LISTEN_FDNAMES</c>) and states (sd_notify(3): <c>NOTIFY_SOCKET</c>).
/// </summary>
public sealed class ServiceManager
{
    /// <summary>The names that sockets may have: those of the listeners, of the metrics and of the control socket.</summary>
    public static readonly string[] Names = ["nvme", "nbd", "vhost-user", "metrics", "control"];

    // the first descriptor that is handed over, by agreement
    private const int FirstDescriptor = 3;
    private const int MaxDescriptors = 64;

    private readonly List<(string Name, int Descriptor)> _handed = [];
    private readonly string? _notify;

    private ServiceManager(string? notify) => _notify = notify;

    /// <summary>Nobody handed anything over, and nobody listens.</summary>
    public static ServiceManager None { get; } = new(null);

    /// <summary>Reads the environment of a process.</summary>
    /// <param name="variable">Gives a variable's value.</param>
    /// <param name="process">The process's number: sockets that are meant for another are not taken.</param>
    /// <param name="first">The first descriptor that is handed over.</param>
    /// <exception cref="ToolException">The variables contradict each other, or a socket has a name that means nothing here.</exception>
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
            throw new ToolException($"{count} sockets were handed over with {names.Length} names: each needs one of {string.Join(", ", Names)} (FileDescriptorName=)");
        }

        for (int i = 0; i < count; i++)
        {
            manager._handed.Add(Names.Contains(names[i])
                ? (names[i], first + i)
                : throw new ToolException($"a socket was handed over as '{names[i]}': names are {string.Join(", ", Names)} (FileDescriptorName=)"));
        }

        return manager;
    }

    /// <summary>Whether a socket of this name was handed over.</summary>
    public bool Has(string name) => _handed.Any(h => h.Name == name);

    /// <summary>Takes the sockets of a name; they can be taken once.</summary>
    /// <exception cref="ToolException">A descriptor is no socket that listens.</exception>
    public IReadOnlyList<ListeningSocket> Take(string name)
    {
        var mine = _handed.Where(h => h.Name == name).ToArray();
        _handed.RemoveAll(h => h.Name == name);
        return [.. mine.Select(h => Open(h.Name, h.Descriptor))];
    }

    /// <summary>Clients may come.</summary>
    public void Ready() => Tell("READY=1");

    /// <summary>The server stops.</summary>
    public void Stopping() => Tell("STOPPING=1");

    /// <summary>Settings are read anew; <see cref="Ready"/> ends it.</summary>
    public void Reloading()
        => Tell($"RELOADING=1\nMONOTONIC_USEC={(long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency))}");

    private static ListeningSocket Open(string name, int descriptor)
    {
        try
        {
            var socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
            if (socket.SocketType != SocketType.Stream || socket.LocalEndPoint is not { } at)
            {
                throw new ToolException($"descriptor {descriptor} ('{name}') is no stream socket");
            }

            return new ListeningSocket(socket, socket.AddressFamily == AddressFamily.Unix ? "unix:" + at : at.ToString()!, null);
        }
        catch (SocketException e)
        {
            throw new ToolException($"descriptor {descriptor} ('{name}') is no socket: {e.Message}");
        }
    }

    private void Tell(string state)
    {
        if (_notify is null)
        {
            return;
        }

        try
        {
            // a name that begins with @ is one without a file
            string path = _notify[0] == '@' ? "\0" + _notify[1..] : _notify;
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTo(Encoding.ASCII.GetBytes(state), new UnixDomainSocketEndPoint(path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            // who wants to hear and does not listen is no reason not to serve
        }
    }
}
