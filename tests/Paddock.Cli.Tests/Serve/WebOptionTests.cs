namespace Paddock.Cli.Tests.Serve;

/// <summary>The options of the live page and of the trace become settings.</summary>
public sealed class WebOptionTests : IDisposable
{
    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Fact]
    public async Task Web_and_trace_options_become_settings()
    {
        await _bench.MustAsync("create disk.qcow2 16M --zone-size 1M");
        await File.WriteAllTextAsync(_bench["token"], "a-token-for-the-tests", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(_bench["token"], UnixFileMode.UserRead);
        var settings = (await _bench.MustAsync(
            $"serve disk.qcow2 --nbd 127.0.0.1:0 --web 127.0.0.1:0 --web-control --web-token-file {_bench["token"]} --trace-file t.json "
            + "--check-config --json")).Json();
        Assert.Equal("127.0.0.1:0", settings.GetProperty("listeners").GetProperty("web").GetString());
        Assert.True(settings.GetProperty("web_control").GetBoolean());
        Assert.EndsWith("t.json", settings.GetProperty("trace_file").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Option_without_what_it_needs_is_rejected()
    {
        await _bench.MustAsync("create disk.qcow2 16M --zone-size 1M");
        Assert.Contains(
            "--web-control and --web-token-file require --web",
            await _bench.RefusedAsync("serve disk.qcow2 --nbd 127.0.0.1:0 --web-control --check-config", code: 64),
            StringComparison.Ordinal);
        Assert.Contains(
            "--web-control requires --web-token-file",
            await _bench.RefusedAsync("serve disk.qcow2 --nbd 127.0.0.1:0 --web 127.0.0.1:0 --web-control --check-config", code: 64),
            StringComparison.Ordinal);
        Assert.Contains(
            "trace-size",
            await _bench.RefusedAsync("serve disk.qcow2 --nbd 127.0.0.1:0 --trace-file t --trace-size 1 --check-config", code: 64),
            StringComparison.Ordinal);
    }
}
