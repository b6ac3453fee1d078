using System.Net;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Server.Listeners;

namespace Paddock.Server.Tests;

public class ListeningSocketTests
{
    [Fact]
    public void Address_in_use_is_reported()
    {
        using var one = ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0));
        var taken = (IPEndPoint)one.LocalEndPoint!;
        var refused = Assert.Throws<ToolException>(() => ListeningSocket.Open(taken.ToString(), "--nvme", allowUnix: false));
        Assert.Contains("in use", refused.Message, StringComparison.Ordinal);
    }
}
