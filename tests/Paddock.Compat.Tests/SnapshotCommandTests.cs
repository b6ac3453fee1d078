namespace Paddock.Compat.Tests;

/// <summary>
/// Internal snapshots on the command line, beside the system's qemu-img: the same lines, and images that either can go on with.
/// </summary>
public class SnapshotCommandTests
{
    private static readonly string[] Layouts =
    [
        "compat=1.1", "compat=0.10", "cluster_size=512", "lazy_refcounts=on", "refcount_bits=64,cluster_size=2M", "refcount_bits=4",
    ];

    public static TheoryData<string, int> Options
    {
        get
        {
            var options = new TheoryData<string, int>();
            for (int i = 0; i < Layouts.Length; i++)
            {
                options.Add(Layouts[i], 1000 + i);
            }

            return options;
        }
    }

    [Theory]
    [InlineData("snapshot")]
    [InlineData("snapshot @i extra")]
    [InlineData("snapshot -c")]
    [InlineData("snapshot -c a -d b @i")]
    [InlineData("snapshot -l -l @i")]
    [InlineData("snapshot --nonsense @i")]
    [InlineData("snapshot -l @missing")]
    [InlineData("snapshot -c x -U @i")]
    [InlineData("snapshot -l -U @i")]
    [InlineData("snapshot -l -f raw @i")]
    [InlineData("snapshot -c x -f raw @i")]
    [InlineData("snapshot -a x -f raw @i")]
    [InlineData("snapshot -d x -f raw @i")]
    [InlineData("snapshot -f qcow2 --image-opts -l driver=qcow2,file.filename=@i")]
    [InlineData("snapshot -a none @i")]
    [InlineData("snapshot -d none @i")]
    [InlineData("snapshot -d 1 @i")]
    [InlineData("snapshot @i")]
    [InlineData("convert -l none @i @out")]
    [InlineData("convert -l snapshot.name=none @i @out")]
    [InlineData("convert -l snapshot.id=1,snapshot.name=two @i @out")]
    [InlineData("convert -l snapshot.nonsense=1 @i @out")]
    [InlineData("convert -l one -f raw @i @out")]
    [InlineData("convert -l one @i @i @out")]
    [InlineData("measure -l none @i")]
    [InlineData("measure -l one @i")]
    [InlineData("measure -l snapshot.id=2 -O qcow2 @i")]
    [InlineData("measure -l snapshot.nonsense=2 -O qcow2 @i")]
    [InlineData("measure -l one -f raw @i")]
    [InlineData("resize @i 8M")]
    public async Task Command_line_prints_what_the_peer_prints(string line)
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer, "compat=0.10");
        await peer.SameAsync(line);
    }

    [Theory]
    [MemberData(nameof(Options))]
    public async Task Random_operations_of_either_tool_leave_images_that_both_find_sound(string options, int seed)
    {
        var random = new Random(seed);
        using var peer = new ImgPeer();
        await PeerDoesAsync(peer, $"create -q -f qcow2 -o {options} @i 3M");
        await PeerDoesAsync(peer, "create -q -f raw @now 3M");
        var names = new List<string>();
        for (int i = 0; i < 14; i++)
        {
            bool ours = random.Next(2) == 0;
            string name = names.Count > 0 ? names[random.Next(names.Count)] : "";
            switch (random.Next(8))
            {
                case < 3:
                    string write = $"write -P {random.Next(1, 255)} {random.Next(6) * 512}k {random.Next(1, 512)}k";
                    await peer.IoAsync("i", write);
                    await peer.IoAsync("now", write);
                    break;
                case < 5 when names.Count < 5:
                    name = $"s{i}";
                    names.Add(name);
                    await DoAsync(peer, ours, $"snapshot -c {name} @i", seed);
                    File.Copy(peer.Path("now"), peer.Path(name));
                    break;
                case 5 when name.Length > 0:
                    names.Remove(name);
                    await DoAsync(peer, ours, $"snapshot -d {name} @i", seed);
                    break;
                case 6 when name.Length > 0:
                    await DoAsync(peer, ours, $"snapshot -a {name} @i", seed);
                    File.Copy(peer.Path(name), peer.Path("now"), overwrite: true);
                    break;
            }

            await AssertSameAsync(peer, "now", "", seed);
        }

        foreach (string name in names)
        {
            await AssertSameAsync(peer, name, $"-l {name} ", seed);
        }

        await peer.SameAsync("snapshot -l @i");
        await peer.SameAsync("info --output=json @i");
    }

    [Fact]
    public async Task Converted_snapshot_has_the_present_size_of_the_disk()
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer, "compat=1.1");
        foreach (string size in new[] { "8M", "--shrink 1M" })
        {
            await PeerDoesAsync(peer, $"resize -q @i {size}");
            await PeerDoesAsync(peer, "convert -l one -O raw @i @theirs");
            Assert.Equal("", (await peer.OursAsync("convert -l one -O raw @i @ours")).Error);
            Assert.Equal(await File.ReadAllBytesAsync(peer.Path("theirs")), await File.ReadAllBytesAsync(peer.Path("ours")));
        }

        Assert.Equal("", (await peer.OursAsync("snapshot -a one @i")).Error);
        await peer.SameAsync("info @i");
        await peer.SameAsync("check @i");
    }

    [Fact]
    public async Task Name_with_control_characters_is_escaped_in_messages()
    {
        using var peer = new ImgPeer();
        await MakeAsync(peer, "compat=1.1");
        var run = await peer.OursAsync("snapshot -d \u001b[31mred @i");
        Assert.Equal("qemu-img: Could not delete snapshot '\\x1b[31mred': snapshot not found\n", run.Error);
    }

    private static async Task MakeAsync(ImgPeer peer, string options)
    {
        await PeerDoesAsync(peer, $"create -q -f qcow2 -o {options} @i 4M");
        foreach (string name in new[] { "one", "two", "2" })
        {
            await peer.IoAsync("i", $"write -P {name.Length} 0 300k");
            await PeerDoesAsync(peer, $"snapshot -c {name} @i");
        }
    }

    private static async Task DoAsync(ImgPeer peer, bool ours, string line, int seed)
    {
        var run = ours ? await peer.OursAsync(line) : await peer.TheirsAsync(line);
        Assert.True(run is (0, "", ""), $"seed {seed}: {line}: {run}");
        foreach (var check in new[] { await peer.OursAsync("check @i"), await peer.TheirsAsync("check @i") })
        {
            Assert.True(check.Code == 0, $"seed {seed}: {line}: {check}");
        }
    }

    private static async Task AssertSameAsync(ImgPeer peer, string expected, string option, int seed)
    {
        await peer.OursAsync($"convert {option}-O raw @i @read");
        await PeerDoesAsync(peer, $"convert {option}-O raw @i @reread");
        byte[] bytes = await File.ReadAllBytesAsync(peer.Path(expected));
        byte[] ours = await File.ReadAllBytesAsync(peer.Path("read")), theirs = await File.ReadAllBytesAsync(peer.Path("reread"));
        Assert.True(bytes.AsSpan().SequenceEqual(ours), $"seed {seed}: {expected}");
        Assert.True(bytes.AsSpan().SequenceEqual(theirs), $"seed {seed}: {expected}, read by the peer");
    }

    private static async Task PeerDoesAsync(ImgPeer peer, string line) => Assert.Equal("", (await peer.TheirsAsync(line)).Error);
}
