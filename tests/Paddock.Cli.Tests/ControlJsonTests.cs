using System.Text.Json;
using Paddock.Server;

namespace Paddock.Cli.Tests;

/// <summary>Answers of a running server as data: the verbs that use its control socket, with --json.</summary>
public sealed class ControlJsonTests : IAsyncLifetime
{
    private readonly Workbench _bench = new();
    private PaddockServer _server = null!;

    private string Control => _bench["control"];

    public async ValueTask InitializeAsync()
    {
        await _bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = _bench["z.qcow2"], Export = "größe" }], Nbd = "unix:" + _bench["nbd"], Control = Control,
            VolatileCache = "16M",
        };
        _server = await PaddockServer.StartAsync(settings, new ServeLog(TextWriter.Null, TimeProvider.System, json: false));
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _bench.Dispose();
    }

    [Theory]
    [InlineData("fail command=write", "{\"answer\": \"ok: rule 1 of größe\", \"image\": \"größe\", \"rule\": 1}")]
    [InlineData("clear", "{\"answer\": \"ok: 0 rules removed\", \"removed\": 0}")]
    [InlineData("release", "{\"answer\": \"ok: 0 requests resumed\", \"resumed\": 0}")]
    [InlineData("drop", "{\"answer\": \"ok: all connections closed\"}")]
    [InlineData("powercut", "{\"answer\": \"ok: power cut and restored\", \"unflushed_bytes\": 0}")]
    [InlineData(
        "offline zone=3", "{\"answer\": \"ok: zone 3 is offline\", \"image\": \"größe\", \"zone\": 3, \"action\": \"offline\"}")]
    [InlineData("status", "{\"images\": [{\"unflushed-bytes\": 0, \"image\": \"größe\", \"rules\": []}]}")]
    public async Task Fault_answers_in_fields(string words, string json)
    {
        var answer = await _bench.MustAsync($"fault {Control} {words} --json");
        Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(json).RootElement, answer.Json()), answer.Out);
        Assert.DoesNotContain("\\u", answer.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fault_takes_the_socket_as_other_verbs_do()
        => Assert.Equal(
            (await _bench.MustAsync($"fault {Control} status")).Out, (await _bench.MustAsync($"fault --control {Control} status")).Out);

    [Fact]
    public async Task Rule_that_does_not_exist_is_named()
        => Assert.Equal(
            "paddock: there is no rule 99; 'status' lists the rules\n", await _bench.RefusedAsync($"fault {Control} clear id=99"));

    [Fact]
    public async Task Resize_answers_in_bytes()
    {
        var answer = (await _bench.MustAsync($"resize --control {Control} +16MiB --json")).Json();
        Assert.Equal(80 << 20, answer.GetProperty("size").GetInt64());
        Assert.Equal(64 << 20, answer.GetProperty("previous_size").GetInt64());
        Assert.StartsWith("ok: größe has 83886080 bytes", answer.GetProperty("answer").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshot_and_backup_answer_in_numbers()
    {
        var taken = (await _bench.MustAsync($"snapshot create --control {Control} now --json")).Json();
        Assert.Equal(JsonValueKind.Number, taken.GetProperty("paused-ms").ValueKind);
        string later = (await _bench.MustAsync($"snapshot create --control {Control} later")).Out;
        Assert.Contains("requests waited", later, StringComparison.Ordinal);
        var backup = (await _bench.MustAsync($"backup --control {Control} größe b.qcow2 --full --since daily --json")).Json();
        Assert.True(backup.GetProperty("full").GetBoolean());
        Assert.Equal(64 << 20, backup.GetProperty("bytes").GetInt64());
    }
}
