using System.Net.Sockets;
using System.Text;
using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>`paddock resize`: the command sent to a server, and the handling of its reply.</summary>
public class ResizeVerbTests
{
    [Theory]
    [InlineData("+16G", "resize size=+16G")]
    [InlineData("-16M --shrink", "resize size=-16M shrink=yes")]
    [InlineData("base 64G --preallocation falloc", "resize size=64G image=base preallocation=falloc")]
    [InlineData("/a%20b/c 512", "resize size=512 image=%2Fa%2520b%2Fc")]
    [InlineData("--shrink -- -1k", "resize size=-1k shrink=yes")]
    public async Task Command_line_becomes_one_control_line(string words, string line)
    {
        using var bench = new Workbench();
        var asked = AnswerAsync(bench["c"], "ok: disk has 512 bytes");
        Assert.Equal("ok: disk has 512 bytes\n", (await bench.MustAsync($"resize --control {bench["c"]} {words}")).Out);
        Assert.Equal(line, await asked);
    }

    [Fact]
    public async Task Rejected_resize_exits_with_1_and_an_answer_can_be_JSON()
    {
        using var bench = new Workbench();
        var asked = AnswerAsync(bench["c"], "error: 'disk' is served read-only");
        Assert.Equal("paddock: 'disk' is served read-only\n", await bench.RefusedAsync($"resize --control {bench["c"]} 1G"));
        await asked;
        Assert.Contains(
            "no server is listening", await bench.RefusedAsync($"resize --control {bench["none"]} 1G"), StringComparison.Ordinal);
        asked = AnswerAsync(bench["d"], "ok: done");
        Assert.Equal(
            "ok: done", (await bench.MustAsync($"resize --control {bench["d"]} 1G --json")).Json().GetProperty("answer").GetString());
        await asked;
    }

    [Theory]
    [InlineData("resize --control c much", "expected bytes or a number with suffix")]
    [InlineData("resize --control c disk", "expected bytes or a number with suffix")]
    [InlineData("resize --control c 1G --preallocation all", "--preallocation all: expected off, metadata, falloc or full")]
    [InlineData("resize --control c", "SIZE")]
    [InlineData("resize --control c a b 1G", "1G")]
    [InlineData("resize 1G", "--control")]
    public async Task Invalid_resize_is_not_sent_to_the_server(string line, string why)
    {
        using var bench = new Workbench();
        Assert.Contains(why, await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_of_resize_explains_sizes_and_has_examples()
    {
        using var bench = new Workbench();
        string help = (await bench.MustAsync("resize --help")).Out;
        foreach (string part in new[]
        {
            "[<IMAGE>] <SIZE>", "a multiple of 512", "Exit codes: 0 success", "paddock resize --control /run/p.sock +16G",
                "off|metadata|falloc|full",
        })
        {
            Assert.Contains(part, help, StringComparison.Ordinal);
        }

        Assert.Contains("resize", (await bench.MustAsync("[suggest:3] res")).Out, StringComparison.Ordinal);
    }

    // one line from one client
    private static async Task<string> AnswerAsync(string path, string answer)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        using var client = await listener.AcceptAsync(TestContext.Current.CancellationToken);
        await using var stream = new NetworkStream(client);
        using var reader = new StreamReader(stream);
        string line = await reader.ReadLineAsync(TestContext.Current.CancellationToken) ?? "";
        await stream.WriteAsync(Encoding.UTF8.GetBytes(answer + "\n"), TestContext.Current.CancellationToken);
        return line;
    }
}
