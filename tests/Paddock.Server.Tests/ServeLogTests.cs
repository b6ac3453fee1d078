using Microsoft.Extensions.Time.Testing;

namespace Paddock.Server.Tests;

/// <summary>Log lines of a server.</summary>
public class ServeLogTests
{
    [Fact]
    public void Log_values_are_quoted_and_cannot_forge_a_line()
    {
        Assert.Equal(
            "2000-01-01T00:00:00.000Z connection ended host=\"x\\n2000 authenticated host=admin\\x1b[2J\" address=127.0.0.1:1\n",
            Logged(json: false, ("host", "x\n2000 authenticated host=admin\u001b[2J"), ("address", "127.0.0.1:1")));
        Assert.Equal(
            "2000-01-01T00:00:00.000Z connection ended a=\"\\u202eb\\x9b\\x80\" b=\"\"\n",
            Logged(json: false, ("a", "\u202eb\u009b" + (char)0xdc80), ("b", "")));
    }

    [Fact]
    public void Json_log_is_JSON_for_any_value()
    {
        string line = Logged(json: true, ("host", "a\"\n\u001b\u009b\u202e" + (char)0xdcff));
        Assert.Equal(1, line.Count(static c => c == '\n'));
        Assert.DoesNotContain(line, static c => c is < ' ' and not '\n' or > '~');
        Assert.Equal(
            "a\"\\n\\x1b\\x9b\\u202e\\xff", System.Text.Json.JsonDocument.Parse(line).RootElement.GetProperty("host").GetString());
    }

    private static string Logged(bool json, params (string, string)[] facts)
    {
        var text = new StringWriter();
        new ServeLog(text, new FakeTimeProvider(new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero)), json)
            .Write("connection ended", facts);
        return text.ToString();
    }
}
