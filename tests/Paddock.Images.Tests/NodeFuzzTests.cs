using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Random <c>json:</c> names of nodes: each opens or is rejected, and the name of an open node opens the same one.</summary>
public sealed class NodeFuzzTests : IDisposable
{
    private static readonly string[] Drivers =
    [
        "raw", "qcow2", "file", "host_device", "null-co", "null-aio", "blkdebug", "blkverify", "quorum", "throttle", "copy-on-read",
        "compress", "preallocate", "no-such", "",
    ];

    private static readonly string[] Keys =
    [
        "file", "backing", "image", "test", "raw", "children", "filename", "size", "offset", "align", "max-transfer", "vote-threshold",
        "read-pattern", "config", "throttle-group", "read-only", "cache", "discard", "detect-zeroes", "l2-cache-size", "node-name",
        "inject-error", "set-state", "event", "latency-ns", "bottom", "data-file", "prealloc-align",
    ];

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 400)]
    [InlineData(2, 400)]
    public async Task Random_name_opens_or_is_rejected(int seed, int count)
    {
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await MakeFilesAsync();
        int opened = 0;
        for (int i = 0; i < count; i++)
        {
            string name = "json:" + JsonText.Compact(Node(random, 0));
            var settings = new OpenSettings { ReadOnly = random.Next(4) != 0 };
            string? full = await TryOpenAsync(name, settings);
            if (full is null)
            {
                continue;
            }

            opened++;
            Assert.Equal(full, await TryOpenAsync(full, settings));
        }

        Assert.True(opened > 0);
    }

    [Fact]
    public async Task Images_that_name_quorums_of_each_other_are_bounded()
    {
        // each has four children that name the next: 4^n nodes without the limit
        await MakeFilesAsync();
        string below = _folder.File("a.qcow2");
        for (int i = 0; i < 6; i++)
        {
            string child = $"{{\"driver\":\"qcow2\",\"file.filename\":\"{below}\"}}";
            string name = $"json:{{\"driver\":\"quorum\",\"vote-threshold\":1,\"children\":[{child},{child},{child},{child}]}}";
            below = _folder.File($"wide{i}");
            await using var file = ImageOpener.OpenFile(below, readOnly: false, create: true);
            await Qcow2Image.CreateAsync(
                file, new Qcow2CreateOptions { Size = 1 << 20, BackingFile = name, BackingFormat = "quorum" },
                TestContext.Current.CancellationToken);
        }

        var failure = await Assert.ThrowsAsync<ToolException>(
            () => new ImageOpener("test", TextWriter.Null).OpenAsync(below, new OpenSettings()).AsTask());
        Assert.Contains("1024 nodes", failure.Message, StringComparison.Ordinal);
    }

    private static async Task<string?> TryOpenAsync(string name, OpenSettings settings)
    {
        try
        {
            await using var node = await new ImageOpener("test", TextWriter.Null).OpenAsync(name, settings);
            return node.Filename;
        }
        catch (Exception e) when (e is ToolException or BlockException or Filters.MismatchException)
        {
            return null;
        }
    }

    private async Task MakeFilesAsync()
    {
        await File.WriteAllBytesAsync(_folder.File("r"), new byte[8192], TestContext.Current.CancellationToken);
        await using var disk = await Qcow2Disk.CreateAsync(_folder.File("a.qcow2"), 1 << 20);
    }

    private QDict Node(Random random, int depth)
    {
        string driver = Drivers[random.Next(Drivers.Length)];
        var node = new QDict().With("driver", driver);
        switch (driver)
        {
            case "file" or "host_device":
                node["filename"] = _folder.File(random.Next(2) == 0 ? "r" : "a.qcow2");
                break;
            case "raw" or "qcow2" or "throttle" or "copy-on-read" or "compress" or "preallocate" when depth < 5:
                node["file"] = Node(random, depth + 1);
                break;
            case "blkdebug" when depth < 5:
                node["image"] = Node(random, depth + 1);
                break;
            case "quorum" when depth < 5:
                node["vote-threshold"] = 1L;
                node["children"] = new List<object?> { Node(random, depth + 1), Node(random, depth + 1) };
                break;
        }

        for (int more = random.Next(6) - 3; more > 0; more--)
        {
            node[Keys[random.Next(Keys.Length)]] = Value(random, depth);
        }

        return node;
    }

    private object? Value(Random random, int depth) => random.Next(9) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.NextInt64(),
        3 => -random.NextInt64(100),
        4 => (long)random.Next(64) * 512,
        5 => _folder.File("r"),
        6 => new[] { "", "on", "512", "1T", "99999999999999999999", "unmap", "a\u001bb" }[random.Next(7)],
        7 when depth < 5 => Node(random, depth + 1),
        _ => new List<object?> { random.Next(), new QDict().With("event", "none") },
    };
}
