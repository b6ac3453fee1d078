namespace Paddock.Compat.Tests;

/// <summary>Nodes of the block graph in any nesting, compared with the peer's.</summary>
public class GraphTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("info blkdebug::@a.qcow2")]
    [InlineData("info -f raw blkdebug::@r.raw")]
    [InlineData("info --image-opts driver=raw,file.filename=@r.raw,offset=512,size=1024")]
    [InlineData("info --image-opts driver=raw,offset=512,file.driver=raw,file.offset=512,file.file.filename=@r.raw")]
    [InlineData("info --image-opts driver=qcow2,file.driver=file,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.filename=@o.qcow2,backing.driver=qcow2,backing.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.filename=@o.qcow2,backing.driver=raw,backing.file.filename=@a.qcow2")]
    [InlineData("info json:{\"driver\":\"qcow2\",\"file.filename\":\"@o.qcow2\",\"backing\":null}")]
    [InlineData("info --image-opts driver=null-co,size=1M")]
    [InlineData("info --image-opts driver=null-co,size=1M,read-zeroes=on")]
    [InlineData("info --image-opts driver=raw,file.driver=null-co,file.size=1M")]
    [InlineData("info null-co://")]
    [InlineData("info null-aio://")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=2,children.0.file.filename=@r.raw,children.1.file.filename=@r.raw,"
        + "children.0.driver=raw,children.1.driver=raw")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=1,children.0.driver=qcow2,children.0.file.filename=@a.qcow2,"
        + "children.1.driver=qcow2,children.1.file.filename=@o.qcow2")]
    [InlineData("info --image-opts driver=throttle,throttle-group=g,file.driver=qcow2,file.file.filename=@a.qcow2")]
    [InlineData(
        "info --object throttle-group,id=g,x-iops-total=100 --image-opts driver=throttle,throttle-group=g,file.driver=qcow2,"
        + "file.file.filename=@a.qcow2")]
    [InlineData(
        "info --object throttle-group,id=g,x-iops-total=100 --image-opts driver=throttle,throttle-group=g,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=copy-on-read,file.driver=qcow2,file.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=compress,file.driver=qcow2,file.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=preallocate,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.driver=preallocate,file.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkverify,test.driver=qcow2,test.file.filename=@a.qcow2,raw.filename=@r.raw")]
    [InlineData("info --image-opts driver=qcow2,file.driver=blkverify,file.test.filename=@a.qcow2,file.raw.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,align=512,image.driver=qcow2,image.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.driver=blkdebug,file.image.filename=@a.qcow2,file.inject-error.0.event=l2_load")]
    [InlineData("info --image-opts driver=qcow2,file.driver=blkdebug,file.image.filename=@a.qcow2,file.config=/dev/null")]
    [InlineData("info --image-opts driver=host_device,filename=@a.qcow2")]
    [InlineData("info --image-opts driver=foo,filename=@a.qcow2")]
    [InlineData("info --image-opts file.driver=foo,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2")]
    [InlineData("info --image-opts driver=file")]
    [InlineData("info --image-opts driver=file,filename=@a.qcow2")]
    [InlineData("info --image-opts driver=file,filename=@a.qcow2,foo=1")]
    [InlineData("info --image-opts driver=qcow2,foo=1,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=raw,foo=1,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.filename=@a.qcow2,file.foo=1")]
    [InlineData("info --image-opts filename=@a.qcow2")]
    [InlineData("info --image-opts file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=qcow2,file.driver=qcow2,file.file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=throttle,file.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=copy-on-read")]
    [InlineData("info --image-opts driver=quorum,vote-threshold=3,children.0.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=quorum,children.0.file.filename=@a.qcow2,children.1.file.filename=@r.raw")]
    [InlineData("info --image-opts driver=quorum,vote-threshold=0,children.0.file.filename=@a.qcow2,children.1.file.filename=@r.raw")]
    [InlineData("info --image-opts driver=quorum,vote-threshold=3,children.0.file.filename=@a.qcow2,children.1.file.filename=@r.raw")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=1,read-pattern=foo,children.0.file.filename=@a.qcow2,"
        + "children.1.file.filename=@r.raw")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=1,blkverify=on,children.0.file.filename=@a.qcow2,children.1.file.filename=@r.raw")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=1,children.0.driver=qcow2,children.0.file.filename=@a.qcow2,"
        + "children.2.driver=qcow2,children.2.file.filename=@o.qcow2")]
    [InlineData(
        "info --image-opts driver=quorum,vote-threshold=2,read-pattern=fifo,rewrite-corrupted=on,children.0.file.filename=@a.qcow2,"
        + "children.1.file.filename=@r.raw")]
    [InlineData("info --image-opts driver=blkdebug,align=3,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,max-transfer=100,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,align=512,max-transfer=1000,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,align=512,opt-write-zero=1000,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,align=512,max-discard=1000,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,opt-discard=512,max-discard=700,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,take-child-perms.0=write,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,take-child-perms.0=foo,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,unshare-child-perms.0=write,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug,foo=1,image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=blkdebug")]
    [InlineData("info blkdebug:@a.qcow2")]
    [InlineData("info blkdebug:@nofile:@a.qcow2")]
    [InlineData("info blkdebug::@nofile")]
    [InlineData("info json:{}")]
    [InlineData("info json:{")]
    [InlineData(
        "info json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"@a.qcow2\"},\"file.filename\":\"@a.qcow2\"}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":\"@a.qcow2\"}")]
    [InlineData("info json:{\"file\":{\"driver\":\"raw\",\"file\":{\"filename\":\"@r.raw\"}}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"raw\",\"size\":1024,\"file\":{\"filename\":\"@r.raw\"}}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"locking\":\"off\"}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"locking\":\"foo\"}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"aio\":\"foo\"}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"aio\":\"native\"}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"pr-manager\":\"foo\"}}")]
    [InlineData(
        "info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\",\"x-check-cache-dropped\":true,"
        + "\"drop-cache\":false,\"aio-max-batch\":3}}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"detect-zeroes\":\"unmap\"}")]
    [InlineData(
        "info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"detect-zeroes\":\"unmap\","
        + "\"discard\":\"unmap\"}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"detect-zeroes\":\"foo\"}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"discard\":\"foo\"}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"node-name\":\"#foo\"}")]
    [InlineData("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"node-name\":\"foo\"}")]
    [InlineData(
        "info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"force-share\":true,"
        + "\"read-only\":false}")]
    [InlineData("info -U json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@r.raw\"},\"read-only\":false}")]
    [InlineData("info --image-opts driver=blkdebug,image.driver=qcow2,image.file.filename=@a.qcow2")]
    [InlineData(
        "info --image-opts driver=blkdebug,align=512,opt-write-zero=512,max-write-zero=1024,opt-discard=512,max-discard=1024,"
        + "image.filename=@a.qcow2")]
    [InlineData("info --image-opts driver=compress,file.driver=raw,file.file.filename=@r.raw")]
    [InlineData("info --image-opts driver=throttle,throttle-group=g")]
    public async Task Info_prints_the_nodes_and_names_that_the_peer_prints(string line)
    {
        using var peer = await ImagesAsync();
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("driver=copy-on-read,file.driver=qcow2,file.file.filename=@o.qcow2", "read -P 7 0 4k|map|info|read -P 7 100k 1k|map")]
    [InlineData("driver=copy-on-read,bottom=x,file.driver=qcow2,file.file.filename=@o.qcow2", "length")]
    [InlineData("driver=copy-on-read,bottom=x,file.driver=qcow2,file.node-name=x,file.file.filename=@o.qcow2", "length")]
    [InlineData("driver=compress,file.driver=qcow2,file.file.filename=@a.qcow2",
        "write 4k 4k|map|write -z 64k 4k|discard 0 64k|read -P 0 64k 64k|info")]
    [InlineData("driver=throttle,throttle-group=g,file.driver=raw,file.file.filename=@r.raw", "read 0 4k|write -P 3 0 4k|map|info")]
    [InlineData("driver=preallocate,file.filename=@r.raw", "write 1000k 10k|length|truncate 4M|length")]
    [InlineData("driver=preallocate,prealloc-align=3,file.filename=@r.raw", "length")]
    [InlineData("driver=qcow2,file.driver=preallocate,file.prealloc-size=1M,file.file.filename=@o.qcow2",
        "write -P 9 0 64k|read -P 9 0 64k")]
    [InlineData("driver=qcow2,file.driver=qcow2,file.file.filename=@n.qcow2",
        "read -P 5 0 64k|write -P 6 512k 64k|read -P 6 512k 64k|length")]
    [InlineData("driver=raw,offset=512,file.driver=raw,file.offset=512,file.file.filename=@r.raw",
        "length|write -P 8 0 512|read -P 8 0 512")]
    [InlineData("driver=blkverify,test.driver=raw,test.file.filename=@r.raw,raw.filename=@r2.raw",
        "read 0 4k|write -P 4 0 4k|discard 0 64k|read -P 4 0 4k")]
    [InlineData("driver=null-co,size=1M,read-zeroes=on", "read -P 0 0 4k|write 0 4k|map|info")]
    [InlineData("driver=null-co,size=1M,latency-ns=-1", "length")]
    [InlineData("driver=raw,detect-zeroes=on,file.filename=@r.raw", "write -P 0 0 64k|map|read -P 0 0 64k")]
    [InlineData("driver=blkdebug,image.driver=qcow2,image.file.filename=@o.qcow2", "read -P 7 0 4k|map|info|write -c 0 64k")]
    [InlineData("driver=blkdebug,inject-error.0.event=none,inject-error.0.iotype=discard,image.driver=raw,image.file.filename=@r.raw",
        "discard 0 64k|read -P 1 0 4k")]
    public async Task Io_does_through_a_node_what_the_peer_does(string options, string commands)
    {
        using var theirs = await ImagesAsync();
        using var ours = await ImagesAsync();
        string[] objects = ["--object", "throttle-group,id=g,x-iops-total=1000"];
        string[] steps = [.. commands.Split('|').SelectMany(static c => new[] { "-c", c })];
        var expected = await theirs.TheirsIoAsync([.. objects, "--image-opts", .. steps, options]);
        var run = await ours.OursIoAsync([.. objects, "--image-opts", .. steps, options]);
        Assert.Equal(expected, run);
        foreach (string image in new[] { "a.qcow2", "o.qcow2", "n.qcow2" })
        {
            Assert.Equal(0, (await ours.TheirsAsync($"check -q @{image}")).Code);
            Assert.Equal(0, (await ours.OursAsync($"check -q @{image}")).Code);
        }
    }

    [Theory]
    [InlineData(2, "read -P 1 0 4k|write -P 2 0 512|map|info|write -z 4k 4k|discard 8k 4k|flush|length|write -c 0 64k|alloc 0 1M")]
    [InlineData(3, "read -P 1 0 4k|write -P 3 0 64k")]
    public async Task Quorum_prints_what_the_peer_prints(int threshold, string commands)
    {
        using var theirs = await ImagesAsync();
        using var ours = await ImagesAsync();
        string options = $"driver=quorum,vote-threshold={threshold},rewrite-corrupted=on"
            + string.Concat(
                new[] { "r", "r2", "r3" }.Select(static (n, i) => $",children.{i}.driver=raw,children.{i}.file.filename=@{n}.raw"));
        string[] steps = [.. commands.Split('|').SelectMany(static c => new[] { "-c", c })];
        Assert.Equal(
            await theirs.TheirsIoAsync(["--image-opts", .. steps, options]), await ours.OursIoAsync(["--image-opts", .. steps, options]));
        foreach (string disk in new[] { "r", "r2", "r3" })
        {
            Assert.Equal(
                await File.ReadAllBytesAsync(theirs.Path(disk + ".raw"), Token),
                await File.ReadAllBytesAsync(ours.Path(disk + ".raw"), Token));
        }
    }

    [Theory]
    [InlineData(
        "reopen -o lazy-refcounts=on,pass-discard-request=on|reopen -o overlap-check=all|reopen -o overlap-check.template=none|write 0 4k")]
    [InlineData("reopen -o cache-size=1M|reopen -o l2-cache-size=512k|reopen -o refcount-cache-size=128k|length")]
    [InlineData("reopen -o cache-size=1M,l2-cache-size=64k,refcount-cache-size=64k|length")]
    [InlineData("reopen -o overlap-check=constant,overlap-check.template=all|length")]
    [InlineData("reopen -o foo=1|length")]
    [InlineData("reopen -o driver=raw|length")]
    [InlineData("reopen -r|write 0 4k|reopen -w|write 0 4k")]
    [InlineData("reopen -r -o read-only=off|length")]
    [InlineData("reopen -c none -o cache.direct=off|length")]
    [InlineData("reopen -r -w|length")]
    [InlineData("reopen -o discard=ignore|write -P 1 0 64k|discard 0 64k|read -P 1 0 64k")]
    [InlineData("reopen -o detect-zeroes=on|write -P 0 0 64k|read -P 0 0 64k")]
    public async Task Reopen_does_what_the_peer_does(string commands)
    {
        using var theirs = await ImagesAsync();
        using var ours = await ImagesAsync();
        foreach (string name in new[] { "@a.qcow2", "json:{'driver':'qcow2','file':{'driver':'file','filename':'@a.qcow2'}}" })
        {
            string[] steps = [.. commands.Split('|').SelectMany(static c => new[] { "-c", c })];
            Assert.Equal(await theirs.TheirsIoAsync([.. steps, name]), await ours.OursIoAsync([.. steps, name]));
        }
    }

    [Fact]
    public async Task Nesting_without_end_is_rejected_with_the_limit()
    {
        using var peer = await ImagesAsync();
        string name = string.Concat(Enumerable.Repeat("blkdebug::", 200)) + peer.Path("r.raw");
        Assert.Contains("more than 64", (await peer.OursAsync("info " + name)).Error, StringComparison.Ordinal);
        string wide = "driver=quorum,vote-threshold=1"
            + string.Concat(Enumerable.Range(0, 300).Select(static i => $",children.{i}.driver=null-co"));
        Assert.Contains("not a valid array", (await peer.OursAsync("info --image-opts " + wide)).Error, StringComparison.Ordinal);
    }

    private static async Task<ImgPeer> ImagesAsync()
    {
        var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 @a.qcow2 1M");
        await peer.IoAsync("a.qcow2", "write -P 7 0 128k");
        await peer.TheirsAsync("create -q -f qcow2 -u -b a.qcow2 -F qcow2 @o.qcow2 1M");
        foreach (string disk in new[] { "r", "r2", "r3" })
        {
            byte[] bytes = new byte[1 << 20];
            bytes.AsSpan().Fill((byte)(disk == "r3" ? 9 : 1));
            await File.WriteAllBytesAsync(peer.Path(disk + ".raw"), bytes, Token);
        }

        // an image in an image
        await peer.TheirsAsync("create -q -f qcow2 @inner 1M");
        await peer.IoAsync("inner", "write -P 5 0 64k");
        await peer.TheirsAsync("convert -f raw -O qcow2 @inner @n.qcow2");
        await peer.TheirsAsync("resize -q @n.qcow2 4M");
        return peer;
    }
}
