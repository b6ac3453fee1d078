using System.Net.Sockets;
using System.Text;
using Paddock.Images;
using Paddock.Nbd;
using Paddock.Nbd.Wire;
using Paddock.Posix;

namespace Paddock.Compat.Nbd;

/// <summary>The kernel's NBD device as a client of a server in this process (<c>-c DEV</c>).</summary>
internal sealed class KernelClient
{
    private readonly KernelDevice _device;

    private KernelClient(KernelDevice device) => _device = device;

    /// <summary>Connects a device; a thread of its own serves it until it is disconnected.</summary>
    /// <param name="server">The server.</param>
    /// <param name="export">Export name.</param>
    /// <param name="path">The device.</param>
    /// <param name="ended">Called when the device has been disconnected.</param>
    /// <exception cref="ToolException">The device cannot be opened or set up.</exception>
    public static KernelClient Start(NbdServer server, string export, string path, Action ended)
    {
        var device = KernelDevice.Open(path) ?? throw new ToolException($"Failed to open {path}: {KernelDevice.LastError}");
        var (ours, theirs) = ServerSockets.Pair();
        server.Accept(theirs);
        try
        {
            var info = Negotiate(ours, export);
            if (device.Prepare(ours, (long)info.ExportSize, (int)info.Flags) is { } why)
            {
                throw new ToolException(why);
            }
        }
        catch
        {
            device.Dispose();
            ours.Dispose();
            throw;
        }

        new Thread(() => Run(device, ours, ended)) { IsBackground = true, Name = "nbd device" }.Start();
        return new KernelClient(device);
    }

    /// <summary>Disconnects the device.</summary>
    public void Stop() => _device.Disconnect();

    private static void Run(KernelDevice device, Socket socket, Action ended)
    {
        device.Run();
        device.Dispose();
        socket.Dispose();
        ended();
    }

    // the kernel takes over behind the handshake and supports simple replies only, so that the oldest option is enough
    private static ExportNameReply Negotiate(Socket socket, string export)
    {
        byte[] name = Encoding.UTF8.GetBytes(export);
        var greeting = Greeting.Parse(Receive(socket, Greeting.Size));
        byte[] message = new byte[ClientFlags.Size + OptionHeader.Size + name.Length];
        new ClientFlags(greeting.Flags & (HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes)).WriteTo(message);
        new OptionHeader(NbdOption.ExportName, (uint)name.Length).WriteTo(message.AsSpan(ClientFlags.Size));
        name.CopyTo(message, ClientFlags.Size + OptionHeader.Size);
        socket.Send(message);
        return ExportNameReply.Parse(Receive(socket, ExportNameReply.Size));
    }

    private static byte[] Receive(Socket socket, int count)
    {
        byte[] bytes = new byte[count];
        for (int have = 0; have < count;)
        {
            int got = socket.Receive(bytes.AsSpan(have));
            have += got > 0 ? got : throw new ToolException("the server disconnected the kernel's device during the handshake");
        }

        return bytes;
    }
}
