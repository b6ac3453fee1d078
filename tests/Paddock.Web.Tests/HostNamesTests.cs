using System.Net;

namespace Paddock.Web.Tests;

public class HostNamesTests
{
    private static readonly string[] Names = ["metrics.example"];

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1:9100")]
    [InlineData("127.0.0.1", "localhost:9100")]
    [InlineData("127.0.0.1", "LOCALHOST")]
    [InlineData("127.0.0.1", "[::1]:9100")]
    [InlineData("192.0.2.7", "192.0.2.7")]
    [InlineData("::ffff:192.0.2.7", "192.0.2.7:9100")]
    [InlineData("2001:db8::1", "[2001:db8::1]:9100")]
    [InlineData("127.0.0.1", "Metrics.Example:9100")]
    [InlineData("127.0.0.1", "attacker.example", false)]
    [InlineData("127.0.0.1", "attacker.example:9100", false)]
    [InlineData("127.0.0.1", "127.0.0.1.attacker.example:9100", false)]
    [InlineData("127.0.0.1", "localhost.attacker.example", false)]
    [InlineData("127.0.0.1", "192.0.2.7", false)]
    [InlineData("127.0.0.1", "", false)]
    [InlineData("127.0.0.1", "2130706433", false)]
    public void Only_own_addresses_and_configured_names_are_accepted(string local, string host, bool ours = true)
        => Assert.Equal(ours, HostNames.IsOurs(host, IPAddress.Parse(local), Names));

    [Fact]
    public void Unix_socket_accepts_any_name() => Assert.True(HostNames.IsOurs("anything", null, []));

    [Theory]
    [InlineData("http://127.0.0.1:8080", "127.0.0.1:8080", true)]
    [InlineData("https://Disks.Example", "disks.example", true)]
    [InlineData("http://127.0.0.1:8081", "127.0.0.1:8080", false)]
    [InlineData("http://attacker.example", "127.0.0.1:8080", false)]
    [InlineData("null", "127.0.0.1:8080", false)]
    [InlineData("file://", "", false)]
    [InlineData("", "", false)]
    public void Origin_must_name_the_host_of_the_request(string origin, string host, bool same)
        => Assert.Equal(same, HostNames.IsSameOrigin(origin, host));
}
