using Paddock.Posix;
using Paddock.Testing;

namespace Paddock.Compat.Tests;

/// <summary>Commands <c>convert</c>, <c>dd</c> and <c>create</c>: rejected options, and the handling of existing files.</summary>
public class ConvertTests
{
    private const string Zones = "zone_model=host-managed,zone_size=1M";

    [Theory]
    [InlineData("convert -f raw -O vhd @in @there")]
    [InlineData("convert -f raw -O qcow2 -o cluster_size=77 @in @there")]
    [InlineData("convert -f raw -O qcow2 -o refcount_bits=3 @in @there")]
    [InlineData("convert -f raw -O qcow2 -o no_such_option=1 @in @there")]
    [InlineData("convert -f raw -O qcow2 -o zone_model=host-managed,zone_size=0 @in @there")]
    [InlineData("convert -f raw -O qcow2 -B @missing -F qcow2 @in @there")]
    [InlineData("convert -f raw -O qcow2 -B @there -F raw @in @there")]
    [InlineData("convert -f raw -O qcow2 -B @base -F qcow2 -o zone_model=host-managed,zone_size=1M @in @there")]
    [InlineData("convert -f raw -O raw -o preallocation=metadata @in @there")]
    [InlineData("convert -c -f raw -O raw @in @there")]
    [InlineData("convert -c -f raw -O qcow2 -o zone_model=host-managed,zone_size=1M @in @there")]
    [InlineData("convert -n -f raw -O raw -o size=1M @in @there")]
    [InlineData("convert -f raw -O qcow2 @missing @there")]
    [InlineData("convert -U -f raw -O qcow2 @there @there")]
    [InlineData("convert -f raw -O qcow2 @there @there")]
    [InlineData("convert -U -f raw -O qcow2 @link @there")]
    [InlineData("dd -f raw -O vhd if=@in of=@there")]
    [InlineData("dd -U -f raw -O qcow2 if=@there of=@there")]
    [InlineData("dd -f raw -O qcow2 if=@missing of=@there")]
    [InlineData("create -f vhd @there 1M")]
    [InlineData("create -f raw -o preallocation=metadata @there 1M")]
    [InlineData("create -f raw @there 8E")]
    [InlineData("create -f qcow2 -o cluster_size=512 @there 1P")]
    [InlineData("create -f qcow2 -b @missing -F qcow2 @there 1M")]
    [InlineData("create -f raw -b @base -F qcow2 @there 1M")]
    [InlineData("create -f qcow2 -b ../there/../@there -F raw @there 1M")]
    [InlineData("create -f qcow2 -b @base -F qcow2 -o zone_model=host-managed,zone_size=1M @there")]
    [InlineData("create -f qcow2 -o zone_model=host-managed,zone_size=32k,zone_layout=c @there 1M")]
    public async Task A_refused_command_leaves_an_existing_file_as_it_was(string line)
    {
        using var peer = await InputsAsync();
        await File.WriteAllTextAsync(peer.Path("there"), "precious", TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(peer.Path("link"), peer.Path("there"));
        var run = await peer.OursAsync(line);
        Assert.Equal(1, run.Code);
        Assert.NotEqual("", run.Error);
        Assert.Equal("precious", await File.ReadAllTextAsync(peer.Path("there"), TestContext.Current.CancellationToken));
        if (!line.Contains("if=@there", StringComparison.Ordinal) && !line.Contains(" -U ", StringComparison.Ordinal))
        {
            await peer.OursAsync(line.Replace("@there", "@new", StringComparison.Ordinal));
            Assert.False(File.Exists(peer.Path("new")), "a refused command leaves no new file");
        }
    }

    [Theory]
    [InlineData("convert -n -o size=2M @in @out")]
    [InlineData("convert -B @base -O qcow2 @in @new")]
    [InlineData("convert -B @missing -F qcow2 -O qcow2 -f raw @in @new")]
    [InlineData("convert -F qcow2 -O qcow2 -f raw @in @new")]
    [InlineData("convert -B @base -F raw -O raw -f raw @in @new")]
    [InlineData("convert --target-is-zero -O qcow2 @in @new")]
    [InlineData("convert -r xx -O qcow2 @in @new")]
    [InlineData("convert -m 0 -O qcow2 @in @new")]
    [InlineData("convert -m 17 -O qcow2 @in @new")]
    [InlineData("convert -m x -O qcow2 @in @new")]
    [InlineData("convert -S 100 -O qcow2 @in @new")]
    [InlineData("convert -S 1G -O qcow2 @in @new")]
    [InlineData("convert -S x -O qcow2 @in @new")]
    [InlineData("convert -C -S 4k -O qcow2 @in @new")]
    [InlineData("convert -C -c -O qcow2 @in @new")]
    [InlineData("convert -c -f raw -O raw @in @new")]
    [InlineData("convert -O foo -f raw @in @new")]
    [InlineData("convert --skip-broken-bitmaps -O qcow2 @in @new")]
    [InlineData("convert -t foo -f raw -O qcow2 @in @new")]
    [InlineData("convert -T foo -f raw -O qcow2 @in @new")]
    [InlineData("convert --target-image-opts @base driver=qcow2,file.filename=@new")]
    [InlineData("convert -n --target-image-opts -O qcow2 @base driver=qcow2,file.filename=@new")]
    [InlineData("convert --image-opts -f raw -O qcow2 @in @new")]
    [InlineData("convert -O raw @missing @new")]
    [InlineData("convert @in")]
    [InlineData("convert -n -f raw @in @missing")]
    [InlineData("convert -n -f raw -O raw @in @small")]
    [InlineData("convert -f raw -O qcow2 -r 100M -m 3 -W -S 512 @in @new")]
    [InlineData("convert -q -p -f raw -O qcow2 -C @in @new")]
    [InlineData("convert --source-format raw -O raw -S 1536 --salvage @in @new")]
    [InlineData("convert --source-image-opts -O qcow2 driver=raw,file.filename=@in @new")]
    [InlineData("convert -p -f raw -O qcow2 @in @new")]
    [InlineData("convert -n --target-is-zero -f raw -O raw @in @out")]
    public async Task Convert_prints_what_the_peer_prints(string line)
    {
        using var peer = await InputsAsync();
        await File.WriteAllBytesAsync(peer.Path("small"), new byte[512], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(peer.Path("out"), new byte[4 << 20], TestContext.Current.CancellationToken);
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("-f raw -O qcow2")]
    [InlineData("-f raw -O qcow2 -S 0")]
    [InlineData("-f raw -O raw -S 0")]
    [InlineData("-f raw -O qcow2 -c")]
    [InlineData("-f raw -O qcow2 -o preallocation=metadata")]
    [InlineData("-f raw -O qcow2 -B @base -F qcow2")]
    [InlineData("-f qcow2 -O qcow2 -B @base -F qcow2", "over")]
    [InlineData("-f qcow2 -O qcow2 -n -B @base -F qcow2", "over", "target")]
    [InlineData("-f qcow2 -O qcow2 -n", "over", "target")]
    public async Task Convert_allocates_what_the_peer_allocates(string options, string source = "in", string target = "new")
    {
        using var peer = await InputsAsync();
        foreach (string side in new[] { "theirs", "ours" })
        {
            await peer.TheirsAsync($"create -q -f qcow2 -b @base -F qcow2 @{target}-{side} 4M");
        }

        if (target == "new")
        {
            File.Delete(peer.Path("new-theirs"));
            File.Delete(peer.Path("new-ours"));
        }

        Assert.Equal(0, (await peer.TheirsAsync($"convert {options} @{source} @{target}-theirs")).Code);
        Assert.Equal(0, (await peer.OursAsync($"convert {options} @{source} @{target}-ours")).Code);
        string format = options.Contains("-O qcow2", StringComparison.Ordinal) ? "qcow2" : "raw";
        Assert.Equal(
            "Images are identical.\n", (await peer.TheirsAsync($"compare -s -f {format} -F {format} @{target}-theirs @{target}-ours")).Out);
        if (options.Contains("-c", StringComparison.Ordinal) || format == "raw")
        {
            Assert.Equal(0, new FileInfo(peer.Path($"{target}-ours")).Length % 512);
        }

        if (options.Contains("-B", StringComparison.Ordinal))
        {
            // the top layer only, without data from the backing image
            string map = (await peer.TheirsAsync($"map --output=json @{target}-theirs")).Out;
            Assert.Equal(Depths(map), Depths((await peer.TheirsAsync($"map --output=json @{target}-ours")).Out));
        }
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public async Task Old_bytes_of_a_block_device_do_not_come_through(string format)
    {
        using var peer = await InputsAsync();
        byte[] old = new byte[8 << 20];
        Array.Fill(old, (byte)0xEE);
        await File.WriteAllBytesAsync(peer.Path("disk"), old, TestContext.Current.CancellationToken);
        await using var loop = await LoopDevice.OfAsync(peer.Path("disk"));
        Assert.SkipWhen(loop is null, "no loop device can be set up here");
        Assert.Equal((0, ""), Brief(await peer.OursAsync($"convert -f raw -O {format} @in {loop.Path}")));
        Assert.Equal("Images are identical.\n", (await peer.OursAsync($"compare -f raw -F {format} @in {loop.Path}")).Out.Replace(
            "Warning: Image size mismatch!\n", "", StringComparison.Ordinal).Replace(
            $"Content mismatch at offset {4 << 20}!\n", "Images are identical.\n", StringComparison.Ordinal));
        Assert.Equal(
            (1, $"qemu-img: {loop.Path}: Cannot grow device files\n"), Brief(await peer.OursAsync($"create -q -f raw {loop.Path} 16M")));
    }

    [Fact]
    public async Task A_plain_copy_of_a_zoned_image_warns_that_its_zones_are_dropped()
    {
        using var peer = await InputsAsync();
        await peer.OursAsync($"create -q -f qcow2 -o {Zones} @zoned 4M");
        foreach (string line in new[] { "convert -O raw @zoned @plain", "convert -O qcow2 @zoned @plain", "dd -O raw if=@zoned of=@plain" })
        {
            var run = await peer.OursAsync(line);
            Assert.Equal(0, run.Code);
            Assert.Contains("its zones and write pointers are not", run.Error, StringComparison.Ordinal);
        }

        Assert.Equal((0, ""), Brief(await peer.OursAsync($"convert -O qcow2 -o {Zones} @zoned @again")));
    }

    [Theory]
    [InlineData(null, "it has none, or was not opened")]
    [InlineData("zone_size=2M", "leave the options out")]
    public async Task Zoned_overlay_of_a_base_with_other_zones_or_none_is_refused(string? zones, string says)
    {
        using var peer = await InputsAsync();
        string options = zones is null ? "" : $"-o zone_model=host-managed,{zones}";
        await peer.OursAsync($"create -q -f qcow2 {options} @zbase 8M");
        var run = await peer.OursAsync($"create -q -f qcow2 -b @zbase -F qcow2 -o {Zones} @overlay");
        Assert.Equal(1, run.Code);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(peer.Path("overlay")));
        run = await peer.OursAsync($"create -q -u -f qcow2 -b @zbase -F qcow2 -o {Zones} @overlay 8M");
        Assert.Contains("was not opened", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-o zoned=on")]
    [InlineData("-o zone_model=host-managed,zone_size=1M,max_open_zones=3")]
    public async Task Overlay_takes_over_the_zones_of_its_base(string options)
    {
        using var peer = await InputsAsync();
        await peer.OursAsync($"create -q -f qcow2 -o {Zones},zone_capacity=768k,conventional_zones=2 @zbase 8M");
        var run = await peer.OursAsync($"create -f qcow2 -b @zbase -F qcow2 {options} @overlay");
        Assert.Equal((0, ""), (run.Code, run.Error));
        Assert.Contains("zone_size=1048576 zone_capacity=786432 conventional_zones=2", run.Out, StringComparison.Ordinal);
        Assert.Contains("zones: 8", (await peer.OursAsync("info @overlay")).Out, StringComparison.Ordinal);
        Assert.Contains(
            "has zones, and so has the image", (await peer.OursAsync("create -f qcow2 -b @zbase -F qcow2 -o zoned=off @o")).Error,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zoned_overlay_is_committed_and_rebased_only_with_the_same_zones()
    {
        using var peer = await InputsAsync();
        await peer.OursAsync($"create -q -f qcow2 -o {Zones} @zbase 8M");
        await peer.OursAsync("create -q -f qcow2 -b zbase -F qcow2 @overlay");
        await peer.OursAsync("create -q -f qcow2 -o zone_model=host-managed,zone_size=2M @other 8M");
        await peer.OursAsync("create -q -f qcow2 @plain 8M");
        await peer.OursAsync("create -q -f qcow2 -b plain -F qcow2 @top");
        foreach (var (line, says) in new[]
        {
            ("rebase -b other -F qcow2 @overlay", "must be the same"), ("rebase -b plain -F qcow2 @overlay", "has none"),
            ("rebase -b zbase -F qcow2 @top", "has zones and"),
            ("rebase -c -b EMPTY @overlay", "takes no compressed data"),
        })
        {
            var run = await peer.OursAsync(line);
            Assert.Equal(1, run.Code);
            Assert.Contains(says, run.Error, StringComparison.Ordinal);
        }

        Assert.Equal((0, ""), Brief(await peer.OursAsync("rebase -u -b zbase -F qcow2 @top")));
        Assert.Contains("its write pointers would be unknown", (await peer.OursAsync("commit @top")).Error, StringComparison.Ordinal);
        Assert.Equal((0, ""), Brief(await peer.OursAsync("rebase -u -b other -F qcow2 @overlay")));
        Assert.Contains("must be the same", (await peer.OursAsync("map @overlay")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_image_is_salvaged_as_the_peer_salvages_it()
    {
        using var peer = await InputsAsync();
        byte[] bytes = new byte[1 << 20];
        new Random(5).NextBytes(bytes);
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] &= 7;
        }

        await File.WriteAllBytesAsync(peer.Path("letters"), bytes, TestContext.Current.CancellationToken);
        await peer.TheirsAsync("convert -c -f raw -O qcow2 @letters @damaged");
        using (var file = File.OpenWrite(peer.Path("damaged")))
        {
            file.SetLength(file.Length * 2 / 3);
        }

        Assert.Equal(1, (await peer.OursAsync("convert -O raw @damaged @ours")).Code);
        var theirs = await peer.TheirsAsync("convert -m 1 --salvage -O raw @damaged @theirs");
        var ours = await peer.OursAsync("convert -m 1 --salvage -O raw @damaged @ours");
        Assert.Equal((0, theirs.Error), (ours.Code, ours.Error));
        Assert.NotEqual("", ours.Error);
        Assert.Equal(
            await File.ReadAllBytesAsync(peer.Path("theirs"), TestContext.Current.CancellationToken),
            await File.ReadAllBytesAsync(peer.Path("ours"), TestContext.Current.CancellationToken));
        Assert.Equal((0, ""), Brief(await peer.OursAsync("convert -q --salvage -O raw @damaged @ours")));
    }

    [Theory]
    [InlineData("map --output=json @over")]
    [InlineData("map @over")]
    [InlineData("map --output=json @short")]
    [InlineData("map --output=json @shorter")]
    [InlineData("map --output=json -f raw @tail")]
    [InlineData("map -f raw @tail")]
    [InlineData("map --output=json -f raw @hole")]
    [InlineData("map --output=json --image-opts driver=raw,file.filename=@tail,cache.direct=on")]
    [InlineData("map --output=json @overtail")]
    public async Task Map_tells_what_the_peer_tells(string line)
    {
        using var peer = await InputsAsync();
        await peer.TheirsAsync("create -q -f qcow2 -b @base -F qcow2 @short 6M");
        await peer.TheirsAsync("create -q -f qcow2 -b @short -F qcow2 @shorter 8M");
        await File.WriteAllBytesAsync(peer.Path("tail"), [.. Enumerable.Repeat((byte)1, 5000)], TestContext.Current.CancellationToken);
        using (var file = File.Create(peer.Path("hole")))
        {
            file.SetLength(100000);
        }

        await peer.TheirsAsync("create -q -f qcow2 -b @tail -F raw @overtail 1M");
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("create -f qcow2 -b @middle -F qcow2 @there 1M")]
    [InlineData("convert -f raw -O qcow2 -B @middle -F qcow2 @in @there")]
    public async Task A_file_that_the_backing_image_reads_from_is_not_overwritten(string line)
    {
        using var peer = await InputsAsync();
        await File.WriteAllTextAsync(peer.Path("there"), "precious", TestContext.Current.CancellationToken);
        await peer.TheirsAsync("create -q -u -f qcow2 -b @there -F raw @middle 4M");
        var run = await peer.OursAsync(line);
        Assert.Equal(1, run.Code);
        Assert.Contains("which would be lost", run.Error, StringComparison.Ordinal);
        Assert.Equal("precious", await File.ReadAllTextAsync(peer.Path("there"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Copy_into_an_existing_overlay_overwrites_what_it_holds_behind_its_backing_image()
    {
        using var peer = await InputsAsync();
        await File.WriteAllBytesAsync(peer.Path("short"), new byte[1 << 20], TestContext.Current.CancellationToken);
        await peer.TheirsAsync("create -q -f qcow2 -b @short -F raw @target 4M");
        await peer.IoAsync("target", "write -P 5 2M 2M");
        await peer.TheirsAsync("create -q -f qcow2 -b @short -F raw @source 4M");
        await peer.OursAsync("convert -n -B @short -F raw -O qcow2 @source @target");
        var run = await peer.OursAsync("compare @source @target");
        Assert.Equal((0, "Images are identical.\n"), (run.Code, run.Out));
    }

    [Fact]
    public async Task An_amendment_that_is_refused_changes_nothing()
    {
        using var peer = await InputsAsync();
        await peer.OursAsync("create -q -f qcow2 -o zone_model=host-managed,zone_size=1M,zone_layout=a @zoned 4M");
        byte[] before = await File.ReadAllBytesAsync(peer.Path("zoned"), TestContext.Current.CancellationToken);
        Assert.Equal(1, (await peer.OursAsync("amend -f qcow2 -o zone_layout=c,size=nonsense @zoned")).Code);
        Assert.Equal(before, await File.ReadAllBytesAsync(peer.Path("zoned"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Nothing_is_left_of_a_new_image_that_the_file_system_refuses()
    {
        using var peer = await InputsAsync();
        Assert.Equal(1, (await peer.OursAsync("create -q -f raw @new 8E")).Code);
        Assert.False(File.Exists(peer.Path("new")));
        Assert.True(FileIdentity.IsSameFile(peer.Path("in"), peer.Path("./in")));
        Assert.False(FileIdentity.IsSameFile(peer.Path("in"), peer.Path("base")));
        Assert.False(FileIdentity.IsSameFile(peer.Path("nowhere"), peer.Path("nowhere")));
    }

    private static (int Code, string Error) Brief(ToolRun run) => (run.Code, run.Error);

    private static string[] Depths(string map)
        => [.. map.Split('\n').Select(l => l.Split(", \"depth\"")[0] + l.Split("\"depth\":")[^1].Split(',')[0])];

    // in: data and holes; base: data; over: an overlay with its own data
    private static async Task<ImgPeer> InputsAsync()
    {
        var peer = new ImgPeer();
        byte[] bytes = new byte[4 << 20];
        var random = new Random(11);
        for (int piece = 0; piece < 64; piece += random.Next(1, 6))
        {
            Array.Fill(bytes, (byte)random.Next(1, 255), piece * 65536, 65536);
        }

        await File.WriteAllBytesAsync(peer.Path("in"), bytes, TestContext.Current.CancellationToken);
        await peer.TheirsAsync("create -q -f qcow2 @base 4M");
        await peer.IoAsync("base", "write -P 7 512k 1M", "write -P 8 3M 64k");
        await peer.TheirsAsync("create -q -f qcow2 -b @base -F qcow2 @over 4M");
        await peer.IoAsync("over", "write -P 9 1M 64k", "write -z 576k 64k");
        return peer;
    }
}
