using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>Errors of the native commands: the cause, the value, the limit and the remedy, without names of .NET types.</summary>
public class ErrorTextTests
{
    [Theory]
    [InlineData("zons z", "unknown command 'zons' (did you mean 'zones'?); expected one of create, clone, info, zones,")]
    [InlineData("help zons", "unknown command 'zons' (did you mean 'zones'?); expected one of")]
    [InlineData("help zone rest", "unknown command 'rest' (did you mean 'reset'?); expected one of open, close,")]
    [InlineData("help info x", "'paddock info' has no command 'x'; see 'paddock info --help'")]
    [InlineData("versio", "unknown command 'versio' (did you mean 'version'?)")]
    [InlineData("sevre", "unknown command 'sevre' (did you mean 'serve'?)")]
    [InlineData("list", "unknown command 'list' (did you mean 'zones' or 'info'?)")]
    [InlineData("reset z 1", "unknown command 'reset' (did you mean 'zone reset'?)")]
    [InlineData("zones z -json", "unknown option '-json' (did you mean '--json'?)")]
    [InlineData("create x 1G --zonesize 64M", "unknown option '--zonesize' (did you mean '--zone-size'?)")]
    [InlineData("create x 0", "SIZE '0': expected at least one sector, 512 bytes")]
    [InlineData("create x 1GB", "SIZE '1GB': expected bytes or a number with suffix k, M, G, T, P or E, such as 64M or 64MiB")]
    [InlineData("create x 16M --zone-size 1M --conventional 99", "--conventional is 99, more than the disk's 16 zones")]
    [InlineData("zone reset z abc", "zone list 'abc': expected indices such as 0,3-5, or all")]
    [InlineData("zone reset z 5-3", "zone range '5-3': the first zone must not be above the last")]
    [InlineData("check z --repair all -U", "--force-share and --repair cannot be combined")]
    [InlineData("read z 0 --offset x", "--offset 'x': expected bytes or a number with suffix")]
    [InlineData("zones nvme+tcp://", "'nvme+tcp://': expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("info nvme+tcp://h", "'nvme+tcp://h': expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("convert a b", "unknown command 'convert' (did you mean 'img convert'?)")]
    [InlineData("zone rest z 1", "unknown command 'rest' (did you mean 'reset'?); expected one of open, close,")]
    [InlineData("zone", "the command is missing; expected one of open, close,")]
    [InlineData("zones --tabel z", "unknown option '--tabel' (did you mean '--table'?); see 'paddock zones --help'")]
    [InlineData("zone reset z 1 2", "unexpected argument '2'")]
    [InlineData("create", "missing FILE and SIZE")]
    [InlineData("create x 16E", "SIZE '16E': the limit is 9223372036854775807 bytes")]
    [InlineData("create x 1M --max-open 5", "--max-open requires --zone-size")]
    [InlineData("create x 1M --max-open abc", "--max-open 'abc': expected a number from 0 to 4294967295")]
    [InlineData("create x 1M --layout b", "--layout 'b': expected one of a, c")]
    [InlineData("check z --repair some", "--repair 'some': expected one of leaks, all")]
    [InlineData("append z all", "ZONE 'all': expected a number")]
    [InlineData("serve z", "no listener configured: specify --nvme, --nbd, --vhost-user or --vfio-user")]
    [InlineData("serve --nbd 127.0.0.1:0", "no image configured: specify at least one image")]
    [InlineData("serve z --nbd x:y", "--nbd x:y: expected HOST:PORT, PORT or unix:PATH, such as 127.0.0.1:4420")]
    [InlineData("serve z --nvme unix:s", "--nvme unix:s: expected HOST:PORT")]
    [InlineData("serve z --nbd ::1:1", "--nbd ::1:1: write an IPv6 address in brackets: [::1]:1")]
    [InlineData("serve z --nbd 127.0.0.1:0 --log-level x", "--log-level 'x': expected one of error, warning, info, debug")]
    [InlineData("serve z --nbd 127.0.0.1:0 --log-levle x", "unknown option '--log-levle' (did you mean '--log-level'?)")]
    [InlineData("serve z --nbd 127.0.0.1:0 --drain-timeout abc", "--drain-timeout 'abc': expected a number")]
    [InlineData("serve z --nbd 127.0.0.1:0 --drain-timeout 9999", "--drain-timeout 9999: expected 0 to 600")]
    [InlineData("serve z --nbd 127.0.0.1:0 --max-memory 1k", "--max-memory '1k': the minimum is 16M")]
    [InlineData("serve z --vhost-user s --vhost-user-sealed maybe", "--vhost-user-sealed 'maybe': expected one of true, false")]
    [InlineData("fault s fial", "unknown command 'fial' (did you mean 'fail'?); expected one of clear, delay,")]
    [InlineData("fault s fail nth", "option 'nth' requires a value: nth=VALUE")]
    [InlineData("resize 1G", "missing option --control")]
    [InlineData("bench z --time 10x", "--time '10x': expected a duration such as 10")]
    [InlineData("completion tcsh", "SHELL 'tcsh': expected one of bash, zsh, fish")]
    public async Task Wrong_command_line_is_explained(string line, string message)
    {
        using var bench = new Workbench();
        Assert.StartsWith("paddock: " + message, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("info http://h/x", "'http://h/x' is on a server; this command requires an image file")]
    [InlineData("serve --config /nonexistent.json", "cannot read '/nonexistent.json': No such file or directory")]
    [InlineData("zones nbd+unix:///x?socket=/nonexistent", "'nbd+unix:///x?socket=/nonexistent' has no zones: NBD does not carry them")]
    [InlineData("info nbd://127.0.0.1:1/x", "Could not open 'nbd://127.0.0.1:1/x': Failed to connect to '127.0.0.1:1': Connection refused")]
    [InlineData("info nvme+tcp://127.0.0.1:1/nqn.x", "Could not open 'nvme+tcp://127.0.0.1:1/nqn.x': cannot connect to 127.0.0.1:1: ")]
    [InlineData("zones nbd://127.0.0.1:1/x", "'nbd://127.0.0.1:1/x' has no zones: NBD does not carry them; use the nvme+tcp:// name")]
    public async Task Rejected_request_is_explained(string line, string message)
    {
        using var bench = new Workbench();
        Assert.StartsWith("paddock: " + message, await bench.RefusedAsync(line), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"nvm\": \"127.0.0.1:1\"}", "line 1: unknown key 'nvm' (did you mean 'nvme'?); expected one of allow-hosts,")]
    [InlineData("{\"images\": \"x.qcow2\"}", "line 1: images: expected an array of objects, such as [{ \"path\": \"disk.qcow2\" }]")]
    [InlineData("{\n\"max-connections\": \"many\"}", "line 2: max-connections: expected a whole number")]
    [InlineData("{\"nvme\": \"a:1\",\n\"nvme\": \"b:2\"}", "line 2: key 'nvme' is given twice")]
    [InlineData("{\n\n\"max-connections\": 0}", "line 3: max-connections 0: expected 1 to 65536")]
    [InlineData("{\n\"nbd\": \"x:y\"}", "line 2: nbd x:y: expected HOST:PORT, PORT or unix:PATH")]
    [InlineData("{\"nbd\": 5}", "line 1: nbd: expected a string")]
    [InlineData("{\"images\": [{\"format\": \"raw\"}]}", "line 1: images[0] has no \"path\"")]
    [InlineData("[]", "line 1: expected an object with settings")]
    [InlineData("{\"nbd\": \"x\"", "unexpected end of file")]
    public async Task Wrong_configuration_is_explained(string text, string message)
    {
        using var bench = new Workbench();
        string path = bench["c.json"];
        await File.WriteAllTextAsync(path, text, TestContext.Current.CancellationToken);
        string error = await bench.RefusedAsync($"serve --config {path}", code: NativeExit.Usage);
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
        foreach (string command in Workbench.Commands())
        {
            string help = (await bench.MustAsync($"{command} --help")).Out;
            Assert.DoesNotContain(help.Split('\n'), line => line.Length > 100);
        }
    }
}
