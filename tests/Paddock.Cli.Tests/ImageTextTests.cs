using System.Buffers.Binary;
using System.Text;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Compat.Io;

namespace Paddock.Cli.Tests;

/// <summary>Printing of text from hostile images: amount and escaping.</summary>
public sealed class ImageTextTests : IDisposable
{
    private const int Cluster = 65536, L1At = 3 * Cluster, SnapshotsAt = 4 * Cluster, BackingAt = 1024;
    private const string Evil = "x\u001b]0;owned\u0007\u009b31m\nimage:               trusted.qcow2";

    private readonly Workbench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Theory]
    [InlineData("info")]
    [InlineData("img info")]
    [InlineData("img map")]
    [InlineData("img convert -O raw")]
    [InlineData("io -c length")]
    [InlineData("serve --backing any --nbd 127.0.0.1:0")]
    public async Task Backing_file_name_is_escaped(string command)
    {
        Make(image =>
        {
            byte[] name = Encoding.UTF8.GetBytes(Evil);
            name.CopyTo(image, BackingAt);
            Long(image, 8, BackingAt);
            Int(image, 16, name.Length);
        });
        await ShowsNothingRawAsync(command + " @ "
            + (command.StartsWith("img convert", StringComparison.Ordinal) ? "out.raw" : ""), "\\x1b]0;owned\\x07\\x9b31m\\n");
    }

    [Fact]
    public async Task Snapshot_names_are_escaped_and_cut_and_counted()
    {
        Make(image => AddSnapshots(image, 150, Evil));
        string text = await ShowsNothingRawAsync("info @", "\\x1b]0;owned");
        Assert.Equal(101, text.Split('\n').Count(static l => l.StartsWith("snapshot:", StringComparison.Ordinal)));
        Assert.Contains("... and 50 more\n", text, StringComparison.Ordinal);
        Make(image => AddSnapshots(image, 1, new string('n', 5000)));
        Assert.Contains(" " + new string('n', 256) + "...\n", (await RunAsync("info @")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("info")]
    [InlineData("img info")]
    public async Task Feature_name_is_escaped(string command)
    {
        Make(image =>
        {
            // a feature name table whose only entry names incompatible bit 5 and more than it should
            Long(image, 72, 1UL << 40);
            Int(image, 112, 0x6803f857);
            Int(image, 116, 48);
            image[121] = 40;
            Encoding.UTF8.GetBytes("x\u001b[31m\nRED").CopyTo(image, 122);
            image.AsSpan(168, 8).Clear();
        });
        await ShowsNothingRawAsync(command + " @", "x\\x1b[31m\\nRED");
    }

    [Theory]
    [InlineData("check")]
    [InlineData("img check")]
    public async Task Findings_are_cut_and_counted(string command)
    {
        // a refcount for each of 5000 clusters that nothing refers to
        Make(image =>
        {
            for (int i = 0; i < 5000; i++)
            {
                image[(2 * Cluster) + (2 * (5 + i)) + 1] = 1;
            }
        });
        using (var file = File.OpenWrite(_bench["evil.qcow2"]))
        {
            file.SetLength(5005L * Cluster);
        }

        var run = await RunAsync(command + " @");
        Assert.Equal(3, run.Code);
        Assert.Equal(4097, run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.EndsWith("... and 905 more\n", run.Error, StringComparison.Ordinal);
        Assert.Contains("5001", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Table_that_names_more_tables_than_the_file_has_clusters_is_refused()
    {
        Make(image =>
        {
            Long(image, 24, 64UL << 29);
            Int(image, 36, 64);
            for (int i = 0; i < 64; i++)
            {
                Long(image, L1At + (8 * i), SnapshotsAt);
            }
        });
        foreach (string command in new[] { "img map @", "img convert -O raw @ out.raw", "io -c length @" })
        {
            var run = await RunAsync(command);
            Assert.Equal(1, run.Code);
            Assert.Contains("names 64 L2 tables, but the file has only 6 clusters", run.Error, StringComparison.Ordinal);
        }

        // commands that show the damage still work
        Assert.Equal(0, (await RunAsync("info @")).Code);
        Assert.Equal(2, (await RunAsync("check @")).Code);
    }

    private async Task<string> ShowsNothingRawAsync(string command, string escaped)
    {
        var run = await RunAsync(command);
        string all = run.Out + run.Error;
        Assert.DoesNotContain(all, static c => char.IsControl(c) && c != '\n');
        Assert.DoesNotContain("\nimage:               trusted", all, StringComparison.Ordinal);
        Assert.Contains(escaped, all, StringComparison.Ordinal);
        return all;
    }

    // compatible tools run as in the executable, the others as in the tests of verbs
    private async Task<Outcome> RunAsync(string line)
    {
        line = line.Replace("@", _bench["evil.qcow2"], StringComparison.Ordinal)
            .Replace("out.raw", _bench["out.raw"], StringComparison.Ordinal);
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words[0] is not ("img" or "io"))
        {
            return await _bench.RunAsync(line);
        }

        using var output = new MemoryStream();
        using var error = new MemoryStream();
        var context = ToolContext.Over("qemu-" + words[0], new MemoryStream(), output, error);
        int code = await ToolRun.GuardAsync(
            context, given => words[0] == "img" ? ImgTool.RunAsync(words[1..], given) : IoTool.RunAsync(words[1..], given));
        return new Outcome(code, Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }

    private static void AddSnapshots(byte[] image, int count, string name)
    {
        Int(image, 60, count);
        Long(image, 64, SnapshotsAt);
        byte[] text = Encoding.UTF8.GetBytes(name);
        int at = SnapshotsAt;
        for (int i = 0; i < count; i++)
        {
            Long(image, at, L1At);
            Int(image, at + 8, 2);
            BinaryPrimitives.WriteUInt16BigEndian(image.AsSpan(at + 12), 1);
            BinaryPrimitives.WriteUInt16BigEndian(image.AsSpan(at + 14), (ushort)text.Length);
            Int(image, at + 36, 16);
            Long(image, at + 48, 1 << 30);
            image[at + 56] = (byte)'1';
            text.CopyTo(image, at + 57);
            at += (57 + text.Length + 7) & ~7;
        }
    }

    // header, refcount table, refcount block, L1 table, and two spare clusters
    private void Make(Action<byte[]> change)
    {
        byte[] image = new byte[6 * Cluster];
        "QFI\u00fb"u8[..3].CopyTo(image);
        image[3] = 0xfb;
        Int(image, 4, 3);
        Int(image, 20, 16);
        Long(image, 24, 1 << 30);
        Int(image, 36, 2);
        Long(image, 40, L1At);
        Long(image, 48, Cluster);
        Int(image, 56, 1);
        Int(image, 96, 4);
        Int(image, 100, 112);
        Long(image, Cluster, 2 * Cluster);
        for (int i = 0; i < 5; i++)
        {
            image[(2 * Cluster) + (2 * i) + 1] = 1;
        }

        change(image);
        File.WriteAllBytes(_bench["evil.qcow2"], image);
    }

    private static void Int(byte[] image, int at, int value) => BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(at), value);

    private static void Long(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at), value);
}
