using System.Net;
using System.Net.Sockets;
using Paddock.Tools.Serve.Doors;

namespace Paddock.Tools.Tests;

public sealed class ListenerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-listen-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_socket_that_nobody_answers_is_replaced_and_one_that_is_in_use_is_not()
    {
        string path = Path.Combine(_folder, "s");
        using (var first = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            first.Bind(new UnixDomainSocketEndPoint(path));
        }

        using var second = Listeners.Unix(path);
        Assert.Throws<SocketException>(() => Listeners.Unix(path));
        Assert.True(File.Exists(path));
    }

    [Fact]
    public void A_file_with_something_in_it_is_left_alone()
    {
        string path = Path.Combine(_folder, "disk");
        File.WriteAllText(path, "data");
        Assert.Throws<SocketException>(() => Listeners.Unix(path));
        Assert.Equal("data", File.ReadAllText(path));
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1")]
    [InlineData("0.0.0.0", "127.0.0.1")]
    [InlineData("127.0.0.1", "0.0.0.0")]
    [InlineData("::1", "::1")]
    [InlineData("::", "::1")]
    public void Second_listener_on_a_port_is_refused(string first, string second)
    {
        using var one = Listeners.Tcp(new IPEndPoint(IPAddress.Parse(first), 0));
        var taken = new IPEndPoint(IPAddress.Parse(second), ((IPEndPoint)one.LocalEndPoint!).Port);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => Listeners.Tcp(taken)).SocketErrorCode);
        Assert.Contains("in use", Assert.Throws<ToolException>(() => DoorListener.Open(taken.ToString(), "--nvme", allowUnix: false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Port_of_a_server_that_ended_with_clients_is_free_at_once()
    {
        var first = Listeners.Tcp(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)first.LocalEndPoint!;
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(address, TestContext.Current.CancellationToken);

        // the side that closes first keeps the port in TIME_WAIT
        (await first.AcceptAsync(TestContext.Current.CancellationToken)).Dispose();
        first.Dispose();
        Assert.Equal(0, await client.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken));
        using var second = Listeners.Tcp(address);
        Assert.Equal(address, second.LocalEndPoint);
    }
}
