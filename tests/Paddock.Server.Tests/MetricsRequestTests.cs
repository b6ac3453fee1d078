using System.Net;
using System.Text;
using Paddock.Server.Metrics;

namespace Paddock.Server.Tests;

public sealed class MetricsRequestTests
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
    public void Only_own_addresses_and_configured_names_are_answered(string local, string host, bool ours = true)
        => Assert.Equal(ours ? "200 OK" : "421 Misdirected Request", StatusOf($"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n", local));

    [Fact]
    public void Unix_socket_answers_under_any_name()
        => Assert.Equal("200 OK", StatusOf("GET /metrics HTTP/1.1\r\nHost: anything\r\n\r\n", null));

    [Theory]
    [InlineData("GET /metrics HTTP/1.1\r\n\r\n", "200 OK")]
    [InlineData("\0\r\n\r\n", "405 Method Not Allowed")]
    [InlineData("GET /metrics HTTP/1.0\r\n\r\n", "200 OK")]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: attacker.example\r\n\r\n", "400 Bad Request")]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: localhost", "400 Bad Request")]
    [InlineData("GET /metrics\r\n\r\n", "400 Bad Request")]
    [InlineData("HEAD /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK")]
    [InlineData("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed")]
    [InlineData("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 Not Found")]
    public void Other_requests_get_their_status(string request, string status) => Assert.Equal(status, StatusOf(request, "127.0.0.1"));

    [Fact]
    public void Endless_head_is_refused()
        => Assert.Equal("431 Request Header Fields Too Large",
            StatusOf("GET /metrics HTTP/1.1\r\nX: " + new string('x', MetricsRequest.MaxHead), "127.0.0.1"));

    private static string StatusOf(string request, string? local)
        => MetricsRequest.StatusOf(Encoding.Latin1.GetBytes(request), local is null ? null : IPAddress.Parse(local), Names);
}
