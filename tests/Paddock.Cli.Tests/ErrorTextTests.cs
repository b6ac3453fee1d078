using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>Errors of the native commands: the cause, the value, the limit and the remedy, without names of .NET types.</summary>
public class ErrorTextTests
{
    [Theory]
    [InlineData("zons z", "unknown command 'zons' (did you mean 'zones'?); expected one of create, clone, info, zones,")]
    [InlineData("help zones", "unknown command 'help'; expected one of")]
    [InlineData("convert a b", "unknown command 'convert' (did you mean 'img convert'?)")]
    [InlineData("zone rest z 1", "unknown command 'rest' (did you mean 'reset'?); expected one of open, close,")]
    [InlineData("zone", "the command is missing; expected one of open, close,")]
    [InlineData("zones --tabel z", "unknown option '--tabel' (did you mean '--table'?); see 'paddock zones --help'")]
    [InlineData("zone reset z 1 2", "unexpected argument '2'")]
    [InlineData("create", "missing FILE and SIZE")]
    [InlineData("create x 1GiB", "SIZE '1GiB': expected bytes or a number with suffix k, M, G, T, P or E, such as 64M")]
    [InlineData("create x 16E", "SIZE '16E': the limit is 9223372036854775807 bytes")]
    [InlineData("create x 1M --max-open 5", "--max-open requires --zone-size")]
    [InlineData("create x 1M --max-open abc", "--max-open 'abc': expected a number from 0 to 4294967295")]
    [InlineData("create x 1M --layout b", "--layout 'b': expected one of a, c")]
    [InlineData("check z --repair some", "--repair 'some': expected one of leaks, all")]
    [InlineData("append z all", "ZONE 'all': expected a number")]
    [InlineData("serve z --nbd 127.0.0.1:0 --log-level x", "unknown option '--log-level'")]
    [InlineData("serve z --nbd 127.0.0.1:0 --drain-timeout abc", "--drain-timeout 'abc': expected a number")]
    [InlineData("serve z --nbd 127.0.0.1:0 --drain-timeout 9999", "drain-timeout 9999: expected 0 to 600")]
    [InlineData("serve z --nbd 127.0.0.1:0 --max-memory 1k", "max-memory '1k': the minimum is 16M")]
    [InlineData("serve z --vhost-user s --vhost-user-sealed maybe", "--vhost-user-sealed 'maybe': expected one of true, false")]
    [InlineData("fault s fial", "unknown command 'fial' (did you mean 'fail'?); expected one of clear, delay,")]
    [InlineData("fault s fail nth", "option 'nth' requires a value: nth=VALUE")]
    [InlineData("resize 1G", "missing option --control")]
    [InlineData("bench z --time 10s", "--time '10s': expected a number such as 10 or 0.5")]
    [InlineData("completion tcsh", "SHELL 'tcsh': expected one of bash, zsh, fish")]
    public async Task Wrong_command_line_is_explained(string line, string message)
    {
        using var bench = new Workbench();
        Assert.StartsWith("paddock: " + message, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serve z", "no listener configured: specify --nvme, --nbd or --vhost-user")]
    [InlineData("serve --nbd 127.0.0.1:0", "no image configured: specify at least one image")]
    [InlineData("serve z --nbd 10999", "--nbd 10999: expected HOST:PORT or unix:PATH")]
    [InlineData("serve z --nvme unix:s", "--nvme unix:s: expected HOST:PORT")]
    [InlineData("serve z --nbd vm.example:1", "--nbd vm.example:1: HOST must be an IP address or localhost")]
    [InlineData("create x 16M --zone-size 1M --conventional 99", "--conventional is 99, more than the disk's 16 zones")]
    [InlineData("zones nvme+tcp://", "'nvme+tcp://': expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("info nvme+tcp://h/nqn.x", "'nvme+tcp://h/nqn.x' is on a server; this command requires an image file")]
    public async Task Rejected_request_is_explained(string line, string message)
    {
        using var bench = new Workbench();
        Assert.StartsWith("paddock: " + message, await bench.RefusedAsync(line), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"nvm\": \"127.0.0.1:1\"}", "line 1: unknown key 'nvm' (did you mean 'nvme'?); expected one of allow-hosts,")]
    [InlineData("{\"images\": \"x.qcow2\"}", "line 1: images: expected an array of objects, such as [{ \"path\": \"disk.qcow2\" }]")]
    [InlineData("{\n\"max-connections\": \"many\"}", "line 2: max-connections: expected a whole number")]
    [InlineData("{\"nbd\": 5}", "line 1: nbd: expected a string")]
    [InlineData("{\"images\": [{\"format\": \"raw\"}]}", "line 1: images[0] has no \"path\"")]
    [InlineData("[]", "line 1: expected an object with settings")]
    [InlineData("{\"nbd\": \"x\"", "unexpected end of file")]
    public async Task Wrong_configuration_is_explained(string text, string message)
    {
        using var bench = new Workbench();
        string path = bench["c.json"];
        await File.WriteAllTextAsync(path, text, TestContext.Current.CancellationToken);
        string error = await bench.RefusedAsync($"serve --config {path}");
        Assert.StartsWith($"paddock: '{path}', ", error, StringComparison.Ordinal);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_file_is_named_once()
    {
        using var bench = new Workbench();
        Assert.Equal(
            $"paddock: Could not open '{bench["none.qcow2"]}': No such file or directory\n", await bench.RefusedAsync("bench none.qcow2"));
        string socket = bench["none"];
        Assert.Equal(
            $"paddock: no server is listening on '{socket}': No such file or directory\n",
            await bench.RefusedAsync($"fault {socket} status"));
    }

    [Fact]
    public async Task Help_lines_are_at_most_100_columns()
    {
        using var bench = new Workbench();
        string[] commands =
        [
            "", "create", "info", "zones", "zone", "zone reset", "append", "check", "serve", "fault", "resize", "backup",
                "backup restore", "snapshot", "clone", "gen-dhchap-key", "bench",
                "demo", "completion",
        ];
        foreach (string command in commands)
        {
            string help = (await bench.MustAsync($"{command} --help".Trim())).Out;
            Assert.DoesNotContain(help.Split('\n'), line => line.Length > 100);
        }
    }
}
