using System.Net;
using System.Net.Sockets;

namespace Paddock.Posix.Tests;

public sealed class ServerSocketsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-listen-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Stale_socket_is_replaced_and_a_socket_in_use_is_not()
    {
        string path = At("s");
        ServerSockets.Unix(path).Listener.Dispose();
        Assert.True(File.Exists(path), "a listener that is disposed of leaves its file");
        var (second, file) = ServerSockets.Unix(path);
        using (second)
        {
            Assert.Contains("in use", Assert.Throws<IOException>(() => ServerSockets.Unix(path)).Message, StringComparison.Ordinal);
            using var client = Connect(path);
        }

        file.Remove();
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void Socket_with_a_full_backlog_is_in_use()
    {
        string path = At("s");
        using var busy = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        busy.Bind(new UnixDomainSocketEndPoint(path));
        busy.Listen(0);
        var waiting = new List<Socket>();
        try
        {
            bool full = false;
            for (int i = 0; i < 16 && !full; i++)
            {
                waiting.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false });
                try
                {
                    waiting[^1].Connect(new UnixDomainSocketEndPoint(path));
                }
                catch (SocketException)
                {
                    full = true;
                }
            }

            Assert.True(full);
            Assert.Throws<IOException>(() => ServerSockets.Unix(path));
            Assert.True(File.Exists(path));
        }
        finally
        {
            waiting.ForEach(s => s.Dispose());
        }
    }

    [Theory]
    [InlineData("data")]
    [InlineData("")]
    public void Ordinary_file_at_the_path_of_a_socket_is_kept(string content)
    {
        string path = At("disk");
        File.WriteAllText(path, content);
        Assert.Contains("not a socket", Assert.Throws<IOException>(() => ServerSockets.Unix(path)).Message, StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllText(path));
    }

    [Fact]
    public async Task Fifo_and_link_to_a_stale_socket_are_kept()
    {
        using (var made = System.Diagnostics.Process.Start("mkfifo", At("fifo")))
        {
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        ServerSockets.Unix(At("stale")).Listener.Dispose();
        File.CreateSymbolicLink(At("link"), At("stale"));
        foreach (string name in new[] { "fifo", "link" })
        {
            Assert.Throws<IOException>(() => ServerSockets.Unix(At(name)));
            Assert.True(File.Exists(At(name)), name);
        }

        Assert.True(File.Exists(At("stale")));
    }

    [Fact]
    public void File_that_replaced_the_socket_outlives_the_listener()
    {
        string path = At("s");
        var (listener, file) = ServerSockets.Unix(path);
        File.Delete(path);
        File.WriteAllText(path, "data");
        listener.Dispose();
        file.Remove();
        Assert.Equal("data", File.ReadAllText(path));

        // a socket that another server bound to the name must be kept too
        File.Delete(path);
        var (first, mine) = ServerSockets.Unix(path);
        File.Delete(path);
        using var other = ServerSockets.Unix(path).Listener;
        first.Dispose();
        mine.Remove();
        using var client = Connect(path);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static Socket Connect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1")]
    [InlineData("0.0.0.0", "127.0.0.1")]
    [InlineData("127.0.0.1", "0.0.0.0")]
    [InlineData("::1", "::1")]
    [InlineData("::", "::1")]
    public void Second_listener_on_a_port_fails(string first, string second)
    {
        using var one = ServerSockets.Tcp(new IPEndPoint(IPAddress.Parse(first), 0));
        var taken = new IPEndPoint(IPAddress.Parse(second), ((IPEndPoint)one.LocalEndPoint!).Port);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => ServerSockets.Tcp(taken)).SocketErrorCode);
    }

    [Fact]
    public async Task Port_is_free_at_once_after_a_server_with_clients_ends()
    {
        var first = ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)first.LocalEndPoint!;
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(address, TestContext.Current.CancellationToken);

        // the side that closes first keeps the port in TIME_WAIT
        (await first.AcceptAsync(TestContext.Current.CancellationToken)).Dispose();
        first.Dispose();
        Assert.Equal(0, await client.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken));
        using var second = ServerSockets.Tcp(address);
        Assert.Equal(address, second.LocalEndPoint);
    }
}
