using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Tests;

public class OtherVerbTests
{
    [Fact]
    public async Task Demo_prints_each_step_before_it_runs()
    {
        await using var output = new ChunkStream();
        Assert.Equal(0, await NativeTools.RunAsync(["demo"], new NativeConsole(output, Stream.Null, Stream.Null)));
        string[] heads = [.. output.Chunks.Select(static c => c.TrimEnd('\n').Split('\n')[^1])];
        Assert.Equal(9, heads.Count(static h => h.Length > 2 && char.IsAsciiDigit(h[0]) && h[1] == '.'));
    }

    [Fact]
    public async Task Demo_shows_rejected_write_reset_and_write_pointers()
    {
        using var bench = new Workbench();
        string shown = (await bench.MustAsync("demo")).Out;
        Assert.Contains("rejected: ", shown, StringComparison.Ordinal);
        Assert.Contains("zone 9: empty", shown, StringComparison.Ordinal);
        Assert.Contains("zone 4: closed, pointer 0x1180000", shown, StringComparison.Ordinal);
        Assert.Contains("no errors;", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_reports_leaks_and_corruptions_by_exit_code_and_repairs_them()
    {
        using var bench = new Workbench();
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        Assert.Equal(0, (await bench.MustAsync("check z.qcow2 --json")).Json().GetProperty("corruptions").GetInt32());

        // a refcount for a cluster beyond the last one in use: a leak
        await WriteAsync(bench["z.qcow2"], 2 * 65536 + 200, [0, 1]);
        await using (var file = File.OpenWrite(bench["z.qcow2"]))
        {
            file.SetLength(101 * 65536);
        }

        Assert.Equal(NativeExit.Leaks, (await bench.RunAsync("check z.qcow2")).Code);
        await bench.MustAsync("check z.qcow2 --repair leaks");

        // the header cluster has no refcount: corruption
        await WriteAsync(bench["z.qcow2"], 2 * 65536, [0, 0]);
        Assert.Equal(NativeExit.Corrupt, (await bench.RunAsync("check z.qcow2")).Code);
        await bench.MustAsync("check z.qcow2 --repair all");
        await bench.MustAsync("check z.qcow2");
    }

    [Fact]
    public async Task Check_draws_and_clears_progress_on_a_terminal()
    {
        using var bench = new Workbench { ShowsProgress = true };
        await bench.MustAsync("create z.qcow2 64M --zone-size 8M");
        string shown = (await bench.MustAsync("check z.qcow2")).Error;
        Assert.EndsWith("\r\u001b[K", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Non_image_file_is_rejected_by_every_command()
    {
        using var bench = new Workbench();
        await File.WriteAllBytesAsync(bench["raw.qcow2"], new byte[4096], TestContext.Current.CancellationToken);
        foreach (string verb in new[] { "zones", "check", "zone reset", "append" })
        {
            string rest = verb is "zone reset" or "append" ? " 0" : "";
            Assert.Contains("not a qcow2 image", await bench.RefusedAsync($"{verb} raw.qcow2{rest}"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Every_verb_has_help_and_the_verbs_for_people_have_examples()
    {
        using var bench = new Workbench();
        string root = (await bench.MustAsync("--help")).Out;
        foreach (string verb in new[] { "create", "info", "zones", "zone", "append", "check", "demo", "completion" })
        {
            Assert.Contains($"  {verb} ", root, StringComparison.Ordinal);
            string help = (await bench.MustAsync($"{verb} --help")).Out;
            Assert.Contains($"paddock {verb}", help, StringComparison.Ordinal);
            Assert.Contains("Examples:", help, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("--backing any")]
    [InlineData("--passphrase-file key")]
    public async Task Options_for_files_are_rejected_for_the_backup_of_a_served_image(string option)
    {
        using var bench = new Workbench();
        string error = await bench.RefusedAsync($"backup disk new.qcow2 --control socket {option}", code: NativeExit.Usage);
        Assert.Contains("cannot be combined with --control", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("backup restore", "restore <TARGET> <BACKUP>...")]
    [InlineData("zone restore", "restore <IMAGE> <ZONES>")]
    public async Task Help_of_a_subcommand_has_its_own_arguments_and_examples(string command, string usage)
    {
        using var bench = new Workbench();
        string help = (await bench.MustAsync($"{command} --help")).Out;
        Assert.Contains($"{command.Split(' ')[0]} {usage}", help, StringComparison.Ordinal);
        Assert.Contains($"Examples:\n  paddock {command} ", help.ReplaceLineEndings("\n"), StringComparison.Ordinal);
        string[] arguments =
            [.. help.Split('\n').Where(static l => l.StartsWith("  <", StringComparison.Ordinal)).Select(static l => l[..6])];
        Assert.Equal(arguments.Distinct(), arguments);
        Assert.Equal(2, arguments.Length);
    }

    [Theory]
    [InlineData("creat x.qcow2 1G")]
    [InlineData("zone burn x.qcow2 1")]
    [InlineData("info")]
    [InlineData("completion ksh")]
    public async Task Mistyped_command_line_exits_with_64_and_names_the_help(string line)
    {
        using var bench = new Workbench();
        Assert.Contains("--help", await bench.RefusedAsync(line, code: NativeExit.Usage), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1 << 20, "1 MiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    [InlineData(1536, "1.5 KiB")]
    public void Human_size_has_the_largest_unit(long bytes, string text) => Assert.Equal(text, SizeText.Human(bytes));

    private static async Task WriteAsync(string path, long offset, byte[] data)
    {
        await using var file = File.OpenWrite(path);
        file.Position = offset;
        await file.WriteAsync(data);
    }

    /// <summary>Keeps each write apart.</summary>
    private sealed class ChunkStream : MemoryStream
    {
        public List<string> Chunks { get; } = [];

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer) => Chunks.Add(System.Text.Encoding.UTF8.GetString(buffer));
    }
}
