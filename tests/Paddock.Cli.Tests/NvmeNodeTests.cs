using System.Text;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Cli.Tests;

/// <summary>Remote namespaces by name, for the tools.</summary>
public class NvmeNodeTests
{
    [Fact]
    public async Task Append_and_the_zone_table_work_on_a_remote_drive()
    {
        await using var bench = await Bench.StartAsync();
        string name = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}";
        var (console, output) = Console(new byte[8192]);
        await AppendVerb.RunAsync(name, 2, pad: false, json: false, console);
        await ZonesVerb.RunAsync(new ZonesPlan { Path = name, View = ZonesView.Table }, console);
        console.Out.Flush();
        string text = Encoding.UTF8.GetString(output.ToArray());
        Assert.Contains("appended 8192 bytes to zone 2 at 2097152", text, StringComparison.Ordinal);
        await ZoneActionVerb.RunAsync(ZoneAction.Reset, name, "2", json: false, console);
        var zone = new ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(2 << 20, zone);
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
            Assert.True(await ImgTool.RunAsync(["convert", "-n", "-f", "raw", "-O", "raw", file, name], context) == 0,
                context.Error.ToString());
            byte[] back = new byte[data.Length];
            await bench.Zoned.ReadAsync(0, back);
            Assert.Equal(data, back);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Failed_flush_of_a_remote_namespace_is_remembered_by_its_storage()
    {
        await using var bench = await Bench.StartAsync();
        var io = new ToolContext { Program = "qemu-io", Out = new StringWriter(), Error = new StringWriter() };
        string name = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}";
        var node = await new ImageOpener(io.Program, io.Error).OpenAsync(name, new OpenSettings());
        await using var disk = node.Device;
        await disk.WriteAsync(0, new byte[4096], cancellationToken: TestContext.Current.CancellationToken);
        node.Storage!.ThrowIfFlushFailed();
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Flush });
        await Assert.ThrowsAsync<BlockException>(() => disk.FlushAsync(TestContext.Current.CancellationToken).AsTask());
        Assert.Throws<BlockException>(node.Storage.ThrowIfFlushFailed);
    }

    [Fact]
    public async Task Zoned_image_is_copied_to_a_remote_drive_and_back_repeatedly()
    {
        await using var bench = await Bench.StartAsync();
        var limits = bench.Zoned.Zones!.Limits;
        string folder = Directory.CreateTempSubdirectory("paddock-nvme-").FullName;
        try
        {
            string image = Path.Combine(folder, "zoned"), back = Path.Combine(folder, "back");
            string remote = $"nvme+tcp://127.0.0.1:{bench.Server.Address.Port}/{bench.Subsystem.Nqn}";
            string zones = $"zone_model=host-managed,zone_size={limits.ZoneSize},zone_capacity={limits.ZoneCapacity}";
            await RunAsync("create", "-q", "-f", "qcow2", "-o", zones, image, $"{bench.Zoned.Length}");
            var io = new ToolContext { Program = "qemu-io", Out = new StringWriter(), Error = new StringWriter() };
            string[] commands =
            [
                "write -P 1 0 64k", "write -z 64k 64k", "write -P 2 128k 64k", $"write -P 3 {limits.ZoneSize} 64k",
                $"zone_finish {limits.ZoneSize} {limits.ZoneSize}", $"write -z {3 * limits.ZoneSize} 64k",
            ];
            Assert.Equal(0, await IoTool.RunAsync([.. commands.SelectMany(c => new[] { "-c", c }), image], io));

            // existing data on the drive is in the way, and a second copy finds that of the first
            await bench.Zoned.WriteAsync(2 * limits.ZoneSize, new byte[4096]);
            await bench.Zoned.Zones!.ManageAsync(ZoneAction.Finish, 0, limits.ZoneSize);
            long[] wanted = [192 << 10, -1, 0, 64 << 10];
            for (int run = 0; run < 2; run++)
            {
                await RunAsync("convert", "-n", "-f", "qcow2", "-O", "raw", image, remote);
                Assert.Equal(wanted, await FirstPointersAsync(bench.Zoned));
            }

            await RunAsync("convert", "-f", "raw", "-O", "qcow2", "-o", zones, remote, back);
            await RunAsync("compare", image, back);
            var opened = (await new ImageOpener(io.Program, io.Error).OpenAsync(back, new OpenSettings())).Device;
            await using (opened)
            {
                Assert.Equal(wanted, await FirstPointersAsync(opened));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<long[]> FirstPointersAsync(IBlockDevice disk)
    {
        var zones = new ZoneDescriptor[4];
        await disk.Zones!.ReportAsync(0, zones);
        return [.. zones.Select(z => z.Condition == ZoneCondition.Full ? -1 : z.WritePointer - z.Start)];
    }

    private static async Task RunAsync(params string[] words)
    {
        var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = new StringWriter() };
        Assert.True(await ImgTool.RunAsync(words, context) == 0, $"{string.Join(' ', words)}: {context.Out} {context.Error}");
    }

    [Theory]
    [InlineData("nvme+tcp://")]
    [InlineData("nvme+tcp://127.0.0.1:4420")]
    [InlineData("nvme+tcp://127.0.0.1:99999/nqn.x")]
    [InlineData("nvme+tcp://127.0.0.1:4420/nqn.x?ns=many")]
    public async Task A_name_that_is_wrong_says_how_it_is_written(string name)
    {
        var plan = new ZonesPlan { Path = name, View = ZonesView.Table };
        var e = await Assert.ThrowsAsync<ToolException>(() => ZonesVerb.RunAsync(plan, Console([]).Console).AsTask());
        Assert.Contains("nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN", e.Message, StringComparison.Ordinal);
    }

    private static (NativeConsole Console, MemoryStream Output) Console(byte[] input)
    {
        var output = new MemoryStream();
        return (new NativeConsole(output, new MemoryStream(), new MemoryStream(input)), output);
    }
}
