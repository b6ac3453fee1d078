using System.Text;
using Paddock.Block;
using Paddock.Tools;
using Paddock.Tools.Native;

namespace Paddock.Nvme.Tests;

/// <summary>A remote drive by its name, for the tools.</summary>
public class NodeTests
{
    [Fact]
    public async Task Append_and_the_zone_table_work_on_a_remote_drive()
    {
        await using var bench = await Bench.StartAsync();
        string name = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}";
        var (console, output) = Console(new byte[8192]);
        await AppendVerb.RunAsync(name, 2, pad: false, console);
        await ZonesVerb.RunAsync(name, ZonesView.Table, console);
        console.Out.Flush();
        string text = Encoding.UTF8.GetString(output.ToArray());
        Assert.Contains("appended 8192 bytes to zone 2 at 2097152", text, StringComparison.Ordinal);
        await ZoneActionVerb.RunAsync(ZoneAction.Reset, name, "2", console);
        var zone = new ZoneDescriptor[1];
        await bench.Zoned.ReportZonesAsync(2 << 20, zone);
        Assert.Equal(ZoneCondition.Empty, zone[0].Condition);
    }

    [Fact]
    public async Task Convert_copies_a_remote_drive_to_a_file()
    {
        await using var bench = await Bench.StartAsync();
        byte[] data = new byte[1 << 20];
        new Random(3).NextBytes(data);
        await bench.Zoned.WriteAsync(0, data);
        string file = Path.GetTempFileName();
        try
        {
            var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = new StringWriter() };
            string name = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}?ns=1";
            Assert.Equal(0, await ImgTool.RunAsync(["convert", "-f", "raw", "-O", "raw", name, file], context));
            byte[] copy = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
            Assert.Equal(8 << 20, copy.Length);
            Assert.Equal(data, copy[..data.Length]);
            Assert.True(copy.AsSpan(data.Length).IndexOfAnyExcept((byte)0) < 0);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Convert_fills_a_remote_drive_zone_by_zone_holes_and_all()
    {
        await using var bench = await Bench.StartAsync();
        byte[] data = new byte[5 << 20];
        new Random(4).NextBytes(data.AsSpan(0, 300_032));
        new Random(5).NextBytes(data.AsSpan((3 << 20) + 512, 1 << 20));
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, data, TestContext.Current.CancellationToken);
            var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = new StringWriter() };
            string name = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}";
            Assert.True(await ImgTool.RunAsync(["convert", "-n", "-f", "raw", "-O", "raw", file, name], context) == 0, context.Error.ToString());
            byte[] back = new byte[data.Length];
            await bench.Zoned.ReadAsync(0, back);
            Assert.Equal(data, back);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("nvme+tcp://")]
    [InlineData("nvme+tcp://127.0.0.1:4420")]
    [InlineData("nvme+tcp://127.0.0.1:99999/nqn.x")]
    [InlineData("nvme+tcp://127.0.0.1:4420/nqn.x?ns=many")]
    public async Task A_name_that_is_wrong_says_how_it_is_written(string name)
    {
        var e = await Assert.ThrowsAsync<ToolException>(() => ZonesVerb.RunAsync(name, ZonesView.Table, Console([]).Console).AsTask());
        Assert.Contains("HOST:PORT/NQN", e.Message, StringComparison.Ordinal);
    }

    private static (NativeConsole Console, MemoryStream Output) Console(byte[] input)
    {
        var output = new MemoryStream();
        return (new NativeConsole(output, new MemoryStream(), new MemoryStream(input)), output);
    }
}
