using System.Security.Cryptography;

namespace Paddock.Cli.Tests;

/// <summary>What new users try first: help, versions, the data of a zone, any file, JSON everywhere.</summary>
public class FirstMinutesTests
{
    [Theory]
    [InlineData("help", "--help")]
    [InlineData("help create", "create --help")]
    [InlineData("help zone reset", "zone reset --help")]
    [InlineData("help backup restore", "backup restore --help")]
    public async Task Help_verb_shows_the_help_of_a_command(string line, string same)
    {
        using var bench = new Workbench();
        Assert.Equal((await bench.MustAsync(same)).Out, (await bench.MustAsync(line)).Out);
    }

    [Fact]
    public async Task Version_verb_and_options_print_the_same()
    {
        using var bench = new Workbench();
        string version = (await bench.MustAsync("version")).Out;
        Assert.Matches(@"^\d+\.\d+\.\d+\S*\n$", version);
        Assert.Equal(version, (await bench.MustAsync("--version")).Out);
        Assert.Equal(version, (await bench.MustAsync("-V")).Out);
        Assert.Equal(version.Trim(), (await bench.MustAsync("--version --json")).Json().GetProperty("version").GetString());
    }

    [Fact]
    public async Task Read_returns_what_was_appended()
    {
        using var bench = new Workbench();
        byte[] data = RandomNumberGenerator.GetBytes(3 << 20);
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M --conventional 1");
        var appended = (await bench.MustAsync("append z.qcow2 2 --json", data)).Json();
        Assert.Equal(16 << 20, appended.GetProperty("offset").GetInt64());
        Assert.Equal(data.Length, appended.GetProperty("bytes").GetInt64());
        Assert.Equal(data, await bench.ReadAsync("read z.qcow2 2"));
        Assert.Equal(data[1000..2047], await bench.ReadAsync("read z.qcow2 2 --offset 1000 --length 1047"));
        Assert.Equal(data[(1 << 20)..], await bench.ReadAsync("read z.qcow2 2 --offset 1MiB"));
        Assert.Empty(await bench.ReadAsync("read z.qcow2 3"));
        Assert.Equal(new byte[8 << 20], await bench.ReadAsync("read z.qcow2 0"));
    }

    [Theory]
    [InlineData("read z.qcow2 9", "zone 9 does not exist: this disk has zones 0 to 7")]
    [InlineData("read z.qcow2 1 --offset 1M", "--offset 1048576 is beyond the data of zone 1, which has 512 bytes that are written")]
    [InlineData("read z.qcow2 1 --length 1k", "--offset 0 --length 1024 is beyond the data of zone 1")]
    [InlineData("read z.qcow2 5", "zone 5 is offline")]
    public async Task Rejected_read_is_explained(string line, string part)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        await bench.MustAsync("append z.qcow2 1", new byte[512]);
        await bench.MustAsync("zone offline z.qcow2 5");
        Assert.Contains(part, await bench.RefusedAsync(line), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_describes_a_raw_file()
    {
        using var bench = new Workbench();
        await File.WriteAllBytesAsync(bench["raw.qcow2"], new byte[1 << 20], TestContext.Current.CancellationToken);
        Assert.Contains("format:              raw", (await bench.MustAsync("info raw.qcow2")).Out, StringComparison.Ordinal);
        var info = (await bench.MustAsync("info raw.qcow2 --json")).Json();
        Assert.Equal("raw", info.GetProperty("format").GetString());
        Assert.Equal(1 << 20, info.GetProperty("size").GetInt64());
    }

    [Fact]
    public async Task Image_in_use_is_named_and_can_be_read_with_force_share()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        using var held = bench.Hold("z.qcow2");
        string path = bench["z.qcow2"];
        foreach (string verb in new[] { "info", "zones", "check" })
        {
            string error = await bench.RefusedAsync($"{verb} z.qcow2");
            Assert.Contains($"Is another process using the image [{path}]?", error, StringComparison.Ordinal);
            Assert.Contains("--force-share", error, StringComparison.Ordinal);
            await bench.MustAsync($"{verb} z.qcow2 --force-share");
            await bench.MustAsync($"{verb} z.qcow2 -U --json");
        }

        Assert.DoesNotContain("--force-share", await bench.RefusedAsync("zone reset z.qcow2 all"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("zone finish z.qcow2 1-3 --json", "{\"image\": \"$\", \"action\": \"finish\", \"zones\": 3}")]
    [InlineData("zone reset z.qcow2 all --json", "{\"image\": \"$\", \"action\": \"reset\", \"zones\": 8}")]
    [InlineData("zone readonly z.qcow2 2 --json", "{\"image\": \"$\", \"action\": \"readonly\", \"zones\": 1}")]
    [InlineData("zone restore z.qcow2 all --json", "{\"image\": \"$\", \"action\": \"restore\", \"zones\": 8}")]
    [InlineData("append z.qcow2 1 --json", "{\"image\": \"$\", \"zone\": 1, \"offset\": null, \"bytes\": 0}")]
    public async Task Action_answers_in_JSON(string line, string json)
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        string answer = (await bench.MustAsync(line)).Out;
        Assert.Equal(json.Replace("$", bench["z.qcow2"], StringComparison.Ordinal) + "\n", answer);
    }

    [Fact]
    public async Task JSON_keeps_printable_characters_and_escapes_others()
    {
        using var bench = new Workbench();
        string name = "größe+\u00df\u202e.qcow2";
        string made = (await bench.MustAsync($"create {name} 1M --json")).Out;
        Assert.Contains("größe+ß\\u202E.qcow2\"", made, StringComparison.Ordinal);
        string info = (await bench.MustAsync($"info {name} --json")).Out;
        Assert.Contains("größe+ß\\u202E.qcow2\"", info, StringComparison.Ordinal);
    }
}
