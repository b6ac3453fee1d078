using Paddock.Server;

namespace Paddock.Cli.Tests;

/// <summary>Native verbs with disks at a server, and the list of what a server has.</summary>
public sealed class RemoteDiskTests : IAsyncLifetime
{
    private readonly Workbench _bench = new();
    private PaddockServer _server = null!;

    private string Address => $"127.0.0.1:{_server.NvmeAddress!.Port}";

    private string Nvme => $"nvme+tcp://{Address}/nqn.2026-01.io.paddock:mixed";

    private string Nbd => $"nbd://{_server.NbdAddress}/mixed";

    public async ValueTask InitializeAsync()
    {
        await _bench.MustAsync("create mixed.qcow2 64M --zone-size 8M --conventional 2");
        await _bench.MustAsync("create plain.qcow2 16M");
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = _bench["mixed.qcow2"] }, new ServedImage { Path = _bench["plain.qcow2"], ReadOnly = true }],
            Nvme = "127.0.0.1:0", Nbd = "127.0.0.1:0", Nqn = "nqn.2026-01.io.paddock:mixed",
        };
        _server = await PaddockServer.StartAsync(settings, new ServeLog(TextWriter.Null, TimeProvider.System, json: false));
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _bench.Dispose();
    }

    [Fact]
    public async Task Namespace_without_zones_names_the_one_that_has()
    {
        string error = await _bench.RefusedAsync($"zones {Nvme}");
        Assert.Contains("has no zones; namespace 2 of this subsystem has: add ?ns=2 to the name", error, StringComparison.Ordinal);
        Assert.Contains("6 zones of 8 MiB", (await _bench.MustAsync($"zones {Nvme}?ns=2")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_subsystem_and_namespace_list_those_that_exist()
    {
        string error = await _bench.RefusedAsync($"zones nvme+tcp://{Address}/nqn.wrong");
        Assert.Equal(
            $"paddock: there is no subsystem 'nqn.wrong' at {Address}; it has nqn.2026-01.io.paddock:mixed\n", error);
        Assert.Contains("has no namespace 9: it has 1, 2, 3", await _bench.RefusedAsync($"zones {Nvme}?ns=9"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zone_of_a_served_disk_is_written_and_read()
    {
        byte[] data = Workbench.Bytes(4096, 7);
        await _bench.MustAsync($"append {Nvme}?ns=2 1", data);
        Assert.Equal(data, await _bench.ReadAsync($"read {Nvme}?ns=2 1"));
        Assert.Equal(data[..700], await _bench.ReadAsync($"read {Nvme}?ns=2 1 --length 700"));
    }

    [Fact]
    public async Task Info_describes_served_disks()
    {
        var zoned = (await _bench.MustAsync($"info {Nvme}?ns=2 --json")).Json();
        Assert.Equal("nvme-tcp", zoned.GetProperty("format").GetString());
        Assert.Equal(48 << 20, zoned.GetProperty("size").GetInt64());
        Assert.Equal(6, zoned.GetProperty("zoned").GetProperty("zone_count").GetInt32());
        Assert.Contains("zones:               6 of 8 MiB", (await _bench.MustAsync($"info {Nvme}?ns=2")).Out, StringComparison.Ordinal);
        var plain = (await _bench.MustAsync($"info nbd://{_server.NbdAddress}/plain --json")).Json();
        Assert.Equal("nbd", plain.GetProperty("format").GetString());
        Assert.Equal(16 << 20, plain.GetProperty("size").GetInt64());
        Assert.True(plain.GetProperty("read_only").GetBoolean());
        Assert.Contains("writable:            yes", (await _bench.MustAsync($"info {Nbd}")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zones_and_check_explain_what_a_server_cannot_show()
    {
        Assert.Contains("NBD does not carry them", await _bench.RefusedAsync($"zones {Nbd}"), StringComparison.Ordinal);
        Assert.Contains("is a raw disk, which has nothing to check", await _bench.RefusedAsync($"check {Nbd}"), StringComparison.Ordinal);
        Assert.Contains("is a raw disk, which has nothing to check", await _bench.RefusedAsync($"check {Nvme}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Image_in_an_export_is_checked()
    {
        await _bench.MustAsync("create inner.qcow2 16M");
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = _bench["inner.qcow2"], Format = "raw" }], Nbd = "127.0.0.1:0",
        };
        await using var server = await PaddockServer.StartAsync(settings, new ServeLog(TextWriter.Null, TimeProvider.System, json: false));
        string name = $"nbd://{server.NbdAddress}/inner";
        Assert.Equal(0, (await _bench.MustAsync($"check {name} --json")).Json().GetProperty("corruptions").GetInt32());
    }

    [Fact]
    public async Task Discover_lists_namespaces_and_exports_under_names_that_verbs_take()
    {
        var disks = (await _bench.MustAsync($"discover {Address} --json")).Json().EnumerateArray().ToList();
        Assert.Equal([Nvme, $"{Nvme}?ns=2", $"{Nvme}?ns=3"], disks.Select(static d => d.GetProperty("name").GetString()));
        Assert.Equal(6, disks[1].GetProperty("zoned").GetProperty("zone_count").GetInt32());
        foreach (var disk in disks)
        {
            string name = disk.GetProperty("name").GetString()!;
            var info = (await _bench.MustAsync($"info {name} --json")).Json();
            Assert.Equal(disk.GetProperty("size").GetInt64(), info.GetProperty("size").GetInt64());
        }

        var exports = (await _bench.MustAsync($"discover {_server.NbdAddress} --json")).Json().EnumerateArray().ToList();
        Assert.Equal(["mixed", "plain"], exports.Select(static d => d.GetProperty("export").GetString()));
        Assert.True(exports[1].GetProperty("read_only").GetBoolean());
        string table = (await _bench.MustAsync($"discover {Address}")).Out;
        Assert.Matches(@"\?ns=2 +48 MiB  6 of 8 MiB\n", table);
        Assert.Equal(table, (await _bench.MustAsync($"discover {Nvme}")).Out);
    }

    [Theory]
    [InlineData("127.0.0.1:1", 1, "no server answers at 127.0.0.1:1: Connection refused")]
    [InlineData("unix:/nonexistent/s", 1, "no server answers at unix:/nonexistent/s: No such file or directory")]
    [InlineData("host:port", 64, "'host:port': expected HOST:PORT, HOST, unix:PATH or the name of a disk")]
    [InlineData("host:0", 64, "'host:0': expected HOST:PORT")]
    public async Task Discover_explains_why_nothing_answers(string address, int code, string message)
        => Assert.StartsWith("paddock: " + message, await _bench.RefusedAsync($"discover {address}", code: code), StringComparison.Ordinal);
}
