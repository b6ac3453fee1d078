using System.Net;
using System.Net.Sockets;
using Paddock.Block;

namespace Paddock.Nbd.Tests;

/// <summary>Time limit of the client's first connection.</summary>
public class OpenTimeoutTests
{
    [Fact]
    public async Task Open_fails_at_the_timeout_if_the_server_never_answers()
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
    public async Task Open_reports_the_error_of_the_last_refused_attempt()
    {
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var target = new NbdTarget
        {
            Host = "127.0.0.1", Port = ((IPEndPoint)unused.LocalEndPoint!).Port, OpenTimeout = TimeSpan.FromSeconds(2),
        };
        var error = await Assert.ThrowsAsync<BlockException>(
            () => NbdClient.ConnectAsync(target, TestContext.Current.CancellationToken).AsTask());
        Assert.EndsWith("Connection refused", error.Message, StringComparison.Ordinal);
    }
}
