namespace Paddock.Compat.Tests;

/// <summary><c>amend</c> and the option lists of <c>create</c>, beside QEMU's.</summary>
public sealed class AmendTests : IDisposable
{
    private readonly ImgPeer _peer = new();

    public void Dispose() => _peer.Dispose();

    [Theory]
    [InlineData("compat=0.10")]
    [InlineData("compat=v2,lazy_refcounts=off")]
    [InlineData("refcount_bits=1")]
    [InlineData("refcount_bits=64,lazy_refcounts=on")]
    [InlineData("refcount_bits=32,size=40M")]
    [InlineData("size=1M")]
    [InlineData("lazy_refcounts=on")]
    public async Task Amended_image_is_the_one_that_QEMU_makes(string options)
    {
        foreach (string name in new[] { "ours", "theirs" })
        {
            await _peer.TheirsAsync($"create -q -f qcow2 @{name} 20M");
            await _peer.IoAsync(name, "write -P 1 0 1M", "write -P 2 5M 640k", "write -z 5M 64k", "write -z 8M 1M", "discard 0 64k");
        }

        Assert.Equal(0, (await _peer.TheirsAsync($"amend -o {options} @theirs")).Code);
        Assert.Equal(0, await Ours($"amend -o {options} @ours"));
        Assert.Equal(0, (await _peer.TheirsAsync("compare @ours @theirs")).Code);
        Assert.Equal(0, (await _peer.TheirsAsync("check @ours")).Code);
        Assert.Equal(0, (await _peer.OursAsync("check @ours")).Code);
        string theirs = (await _peer.TheirsAsync("info @theirs")).Out, ours = (await _peer.TheirsAsync("info @ours")).Out;
        Assert.Equal(Features(theirs), Features(ours));
    }

    [Theory]
    [InlineData("", "compat=0.10")]
    [InlineData("", "refcount_bits=64")]
    [InlineData("-o compat=0.10", "compat=1.1,refcount_bits=2")]
    [InlineData("-o refcount_bits=8", "compat=0.10,refcount_bits=16")]
    [InlineData("-o cluster_size=512", "refcount_bits=64")]
    [InlineData("-o cluster_size=512", "compat=0.10")]
    [InlineData("-o cluster_size=2M,refcount_bits=1", "refcount_bits=32")]
    [InlineData("-o extended_l2=on", "refcount_bits=1")]
    public async Task Amended_overlay_with_snapshots_keeps_all_of_its_disks(string create, string options)
    {
        await _peer.TheirsAsync("create -q -f raw @base 4M");
        await _peer.IoAsync("base", "write -P 9 0 4M");
        await _peer.TheirsAsync($"create -q -f qcow2 {create} -b @base -F raw @image 4M");
        await _peer.IoAsync("image", "write -P 1 0 1M", "write -z 1M 512k", "write -z 1536k 512k");
        bool takesSnapshots = !create.Contains("refcount_bits=1", StringComparison.Ordinal)
            && !options.EndsWith("=1", StringComparison.Ordinal);
        if (takesSnapshots)
        {
            Assert.Equal(0, (await _peer.TheirsAsync("snapshot -c one @image")).Code);
            await _peer.IoAsync("image", "write -P 3 512k 1M", "write -z 3M 128k");
        }

        await _peer.TheirsAsync("convert -O raw @image @before");
        Assert.Equal(0, await Ours($"amend -o {options} @image"));
        Assert.Equal(0, (await _peer.TheirsAsync("check @image")).Code);
        Assert.Equal(0, (await _peer.OursAsync("check @image")).Code);
        Assert.Equal(0, (await _peer.TheirsAsync("compare -F raw @image @before")).Code);
        if (takesSnapshots)
        {
            await _peer.TheirsAsync("snapshot -a one @image");
            string read = (await _peer.IoAsync("image", "read -P 1 0 1M", "read -P 0 1M 1M", "read -P 9 2M 2M")).Out;
            Assert.DoesNotContain("failed", read, StringComparison.Ordinal);
            Assert.Equal(0, (await _peer.TheirsAsync("check @image")).Code);
        }
    }

    [Theory]
    [InlineData("x=1")]
    [InlineData("cluster_size=4k")]
    [InlineData("compression_type=zstd")]
    [InlineData("encryption=on")]
    [InlineData("encrypt.state=active")]
    [InlineData("nocow=on")]
    [InlineData("compat=0.42")]
    [InlineData("compat=")]
    [InlineData("compat=0.10,lazy_refcounts=on")]
    [InlineData("compat=0.10,refcount_bits=32")]
    [InlineData("refcount_bits=7")]
    [InlineData("refcount_bits=128")]
    [InlineData("refcount_bits=x")]
    [InlineData("data_file=@data")]
    [InlineData("data_file_raw=on")]
    [InlineData("data_file_raw=off")]
    [InlineData("size=2000001")]
    [InlineData("size=x")]
    [InlineData("backing_file=@b")]
    [InlineData("backing_fmt=raw")]
    [InlineData("lazy_refcounts=maybe")]
    [InlineData(",help")]
    [InlineData("size=1M,")]
    [InlineData("help")]
    [InlineData("cluster_size=4k,help")]
    public async Task Refused_or_odd_options_have_QEMUs_words(string options)
    {
        await _peer.TheirsAsync("create -q -f qcow2 @image 1M");
        await _peer.SameAsync($"amend -o {options} @image");
        await _peer.SameAsync($"amend -f qcow2 -o {options} @image");
        Assert.Equal(0, (await _peer.TheirsAsync("check @image")).Code);
    }

    [Theory]
    [InlineData("amend @image")]
    [InlineData("amend -o size=1M")]
    [InlineData("amend -o help")]
    [InlineData("amend -f raw -o help")]
    [InlineData("amend -f bochs -o help")]
    [InlineData("amend -f nothing -o help")]
    [InlineData("amend -f raw -o size=1M @image")]
    [InlineData("amend -p -o lazy_refcounts=on @image")]
    [InlineData("amend -p -o compat=0.9 @image")]
    [InlineData("create -f qcow2 -o help")]
    [InlineData("create -f qcow2 -o help @image")]
    [InlineData("create -f raw -o help")]
    [InlineData("create -f raw -o help @image")]
    [InlineData("create -f bochs -o help")]
    [InlineData("create -f qcow2 -o ,, @image 1M")]
    [InlineData("create -f raw -o extent_size_hint=8G @new 1M")]
    [InlineData("create -f raw -o nocow=on,preallocation=off @new 1M")]
    [InlineData("create -f qcow2 -o nocow=on,compat=1.1 @new 1M")]
    public async Task Command_line_prints_what_QEMUs_does(string line)
    {
        await _peer.TheirsAsync("create -q -f qcow2 @image 4G");
        await _peer.SameAsync(line);
    }

    [Fact]
    public async Task Downgrade_shows_its_progress_as_QEMU_does()
    {
        await _peer.TheirsAsync("create -q -f qcow2 @theirs 4G");
        await _peer.TheirsAsync("create -q -f qcow2 @ours 4G");
        string theirs = (await _peer.TheirsAsync("amend -p -o compat=v2 @theirs")).Out;
        Assert.Equal(theirs, (await _peer.OursAsync("amend -p -o compat=v2 @ours")).Out);
    }

    [Fact]
    public async Task Name_of_the_data_file_changes_and_goes()
    {
        await _peer.TheirsAsync("create -q -f qcow2 -o data_file=@data,data_file_raw=on @image 1M");
        foreach (string options in new[]
        {
            "data_file_raw=on", "compat=0.10", "data_file=@another-name-that-is-quite-a-bit-longer-than-before", "data_file_raw=off",
            "data_file_raw=on", "data_file=@d",
        })
        {
            File.Copy(_peer.Path("data"), _peer.Path("another-name-that-is-quite-a-bit-longer-than-before"), true);
            File.Copy(_peer.Path("image"), _peer.Path("copy"), true);
            var theirs = await _peer.TheirsAsync($"amend -o {options} @copy");
            var ours = await _peer.OursAsync($"amend -o {options} @image");
            Assert.Equal((theirs.Code, theirs.Out, theirs.Error), (ours.Code, ours.Out, ours.Error));
            string info = (await _peer.TheirsAsync("info @copy")).Out;
            Assert.Equal(Features(info), Features((await _peer.OursAsync("info @image")).Out));
            Assert.Equal(Features(info), Features((await _peer.TheirsAsync("info @image")).Out));
        }
    }

    [Fact]
    public async Task Cleared_data_file_must_be_named_by_whoever_opens_the_image()
    {
        await _peer.TheirsAsync("create -q -f qcow2 -o data_file=@data @image 1M");
        Assert.Equal(0, await Ours("amend -o data_file= @image"));
        await _peer.SameAsync("info @image");
        await _peer.SameAsync("map @image");
        await _peer.SameIoAsync("open -o data-file.filename=@data @image", "read -P 0 0 64k");
    }

    private async Task<int> Ours(string line)
    {
        var run = await _peer.OursAsync(line);
        return run.Error.Length == 0 ? run.Code : throw new InvalidOperationException(run.Error);
    }

    private static string[] Features(string info)
        => [.. info.Split('\n').SkipWhile(static l => !l.StartsWith("Format specific", StringComparison.Ordinal))
            .TakeWhile(static l => !l.StartsWith("Child", StringComparison.Ordinal))];
}
