using System.Net;
using System.Net.Sockets;
using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>How long a client tries to reach its server.</summary>
public class OpenTimeoutTests
{
    [Fact]
    public async Task A_server_that_accepts_and_never_answers_is_given_up_when_the_open_timeout_is_over()
    {
        // connections wait in the backlog
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        silent.Listen();
        var target = new NbdTarget
        {
            Host = "127.0.0.1", Port = ((IPEndPoint)silent.LocalEndPoint!).Port, OpenTimeout = TimeSpan.FromMilliseconds(200),
        };
        var error = await Assert.ThrowsAsync<BlockException>(
            () => NbdClient.ConnectAsync(target, TestContext.Current.CancellationToken).AsTask());
        Assert.Equal($"Failed to connect to '{target}': Connection timed out", error.Message);
        Assert.Equal(110, error.Errno);
    }

    [Fact]
    public async Task A_server_that_refuses_to_the_end_gives_its_own_error()
    {
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var target = new NbdTarget
        {
            Host = "127.0.0.1", Port = ((IPEndPoint)unused.LocalEndPoint!).Port, OpenTimeout = TimeSpan.FromMilliseconds(200),
        };
        var error = await Assert.ThrowsAsync<BlockException>(
            () => NbdClient.ConnectAsync(target, TestContext.Current.CancellationToken).AsTask());
        Assert.EndsWith("Connection refused", error.Message, StringComparison.Ordinal);
    }
}
