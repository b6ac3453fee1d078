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

    [Fact]
    public void Less_important_events_are_left_out()
    {
        var text = new StringWriter();
        using var log = new ServeLog(text, TimeProvider.System, json: false, LogLevel.Warning);
        log.Write("listening", ("address", "a"));
        log.WriteList("ready", "uris", ["a", "b"]);
        log.Write("evicted", ("listener", "nbd"));
        log.Write("flush failed", ("image", "a"));
        Assert.Equal(["evicted", "flush"], text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')[1]));
    }

    [Fact]
    public void Lines_for_the_journal_begin_with_a_priority_and_have_no_time()
    {
        var text = new StringWriter();
        using var log = new ServeLog(text, TimeProvider.System, json: false, LogLevel.Info, journal: true);
        log.Write("listening", ("address", "a"));
        log.Write("warning", ("reason", "b"));
        log.Write("flush failed", ("image", "c"));
        Assert.Equal("<6>listening address=a\n<4>warning reason=b\n<3>flush failed image=c\n", text.ToString());
    }

    [Fact]
    public void Held_events_follow_warnings_and_are_lost_if_the_start_fails()
    {
        var text = new StringWriter();
        using var log = new ServeLog(text, TimeProvider.System, json: false);
        log.Hold();
        log.Write("listening", ("address", "a"));
        log.Write("warning", ("reason", "b"));
        Assert.EndsWith(" warning reason=b\n", text.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("listening", text.ToString(), StringComparison.Ordinal);
        log.Release();
        log.Write("stopping");
        Assert.Equal(
            ["warning", "listening", "stopping"],
            text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')[1]));
    }

    [Fact]
    public void Log_file_is_opened_again_after_it_was_renamed()
    {
        string folder = Directory.CreateTempSubdirectory("log-").FullName;
        try
        {
            string path = Path.Combine(folder, "log");
            using var log = ServeLog.Open(new ServeSettings { LogFile = path, JsonLog = true }, TextWriter.Null);
            log.Write("a");
            File.Move(path, path + ".1");
            log.Write("b");
            log.Reopen();
            log.WriteList("c", "uris", ["x", "y"]);
            Assert.Equal(["a", "b"], File.ReadAllLines(path + ".1").Select(EventOf));
            string line = Assert.Single(File.ReadAllLines(path));
            var uris = System.Text.Json.JsonDocument.Parse(line).RootElement.GetProperty("uris");
            Assert.Equal(["x", "y"], uris.EnumerateArray().Select(u => u.GetString()));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string EventOf(string line)
        => System.Text.Json.JsonDocument.Parse(line).RootElement.GetProperty("event").GetString()!;

    private static string Logged(bool json, params (string, string)[] facts)
    {
        var text = new StringWriter();
        new ServeLog(text, new FakeTimeProvider(new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero)), json)
            .Write("connection ended", facts);
        return text.ToString();
    }
}
