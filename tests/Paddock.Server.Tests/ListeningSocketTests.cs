using System.Net;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Server.Listeners;

namespace Paddock.Server.Tests;

public class ListeningSocketTests
{
    [Theory]
    [InlineData("10809", "127.0.0.1:10809")]
    [InlineData(":10809", "127.0.0.1:10809")]
    [InlineData("localhost:1", "127.0.0.1:1")]
    [InlineData("*:1", "0.0.0.0:1")]
    [InlineData("192.0.2.1:65535", "192.0.2.1:65535")]
    [InlineData("[::1]:0", "[::1]:0")]
    public void Address_has_several_forms(string text, string address)
        => Assert.Equal(IPEndPoint.Parse(address), ListenAddress.Parse(text, "--nvme", allowUnix: false));

    [Theory]
    [InlineData("::1:4420", "--nvme ::1:4420: write an IPv6 address in brackets: [::1]:4420")]
    [InlineData("127.0.0.1:65536", "--nvme 127.0.0.1:65536: port 65536 is out of range: expected 0 to 65535")]
    [InlineData("host", "--nvme host: expected HOST:PORT or PORT, such as 127.0.0.1:4420 or [::1]:4420")]
    [InlineData("host:", "--nvme host:: expected HOST:PORT or PORT, such as 127.0.0.1:4420 or [::1]:4420")]
    [InlineData("", "--nvme : expected HOST:PORT or PORT, such as 127.0.0.1:4420 or [::1]:4420")]
    public void Invalid_address_is_rejected(string text, string message)
        => Assert.Equal(message, Assert.Throws<ToolException>(() => ListenAddress.Parse(text, "--nvme", allowUnix: false)).Message);

    [Fact]
    public void Name_without_an_address_is_named()
        => Assert.StartsWith(
            "--nvme no.host.invalid:1: no address is known for 'no.host.invalid': ",
            Assert.Throws<ToolException>(() => ListenAddress.Parse("no.host.invalid:1", "--nvme", allowUnix: false)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void Socket_that_cannot_be_created_has_a_reason()
    {
        string name = new('x', 200);
        Assert.Equal(
            "--nbd unix:/no/such/folder/s: cannot listen: No such file or directory",
            Assert.Throws<ToolException>(() => ListeningSocket.Open("unix:/no/such/folder/s", "--nbd", allowUnix: true)).Message);
        Assert.EndsWith(
            ": cannot listen: the path of a socket has 1 to 107 bytes; this one has 205",
            Assert.Throws<ToolException>(() => ListeningSocket.Open($"unix:/tmp/{name}", "--nbd", allowUnix: true)).Message,
            StringComparison.Ordinal);
        Assert.Equal(
            "--nvme 192.0.2.1:0: cannot listen: this machine does not have the address",
            Assert.Throws<ToolException>(() => ListeningSocket.Open("192.0.2.1:0", "--nvme", allowUnix: false)).Message);
    }

    [Fact]
    public void Address_in_use_is_reported()
    {
        using var one = ServerSockets.Tcp(new IPEndPoint(IPAddress.Loopback, 0));
        var taken = (IPEndPoint)one.LocalEndPoint!;
        var refused = Assert.Throws<ToolException>(() => ListeningSocket.Open(taken.ToString(), "--nvme", allowUnix: false));
        Assert.Contains("another process listens there", refused.Message, StringComparison.Ordinal);
    }
}
