using Paddock.Block;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Tests;

public class NodeTests
{
    [Theory]
    [InlineData("info --image-opts driver=null-co,size=1M")]
    [InlineData("info null-co://")]
    [InlineData("info --image-opts driver=null-co,foo=1")]
    [InlineData("map --output=json --image-opts driver=null-co,size=1M,read-zeroes=on")]
    [InlineData("map --output=json --image-opts driver=raw,file.driver=null-co,file.size=1M,file.read-zeroes=on")]
    [InlineData("bench -c 10 --image-opts driver=null-co,size=1M,read-zeroes=on")]
    [InlineData("map --output=json --image-opts driver=raw,offset=512,size=1024,file.filename=@r")]
    [InlineData("map --output=json --image-opts driver=raw,offset=512,size=10240000,file.filename=@r")]
    [InlineData("map --output=json --image-opts driver=raw,offset=51200000,file.filename=@r")]
    [InlineData("map --output=json --image-opts driver=raw,offset=512,size=513,file.filename=@r")]
    [InlineData("compare -f qcow2 --image-opts driver=raw,file.filename=@r driver=raw,file.filename=@r")]
    [InlineData("compare --image-opts driver=raw,offset=4096,size=4096,file.filename=@r driver=raw,size=4096,file.filename=@r")]
    public async Task Options_of_a_node_do_what_the_peer_does(string line)
    {
        using var peer = new ImgPeer();
        byte[] bytes = new byte[8192];
        new Random(3).NextBytes(bytes);
        await File.WriteAllBytesAsync(peer.Path("r"), bytes, TestContext.Current.CancellationToken);
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':'@top'},'backing':null}")]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':'@top'},'backing':''}")]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':'@top'},'backing':'x'}")]
    [InlineData("{'driver':'qcow2','file.filename':'@top','backing':null}")]
    [InlineData("{'file':{'driver':'file','filename':'@top'},'backing':null,'lazy-refcounts':true,"
        + "'l2-cache-size':1048576,'cache':{'direct':false}}")]
    [InlineData("{'driver':'qcow2','file':null}")]
    [InlineData("{'driver':'qcow2','file':[]}")]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':null}}")]
    [InlineData("{'driver':'qcow2','file':{'driver':'file','filename':'@top'},'bogus':{'a':null}}")]
    [InlineData("{'driver':'raw','offset':65536.5,'size':512,'file':{'driver':'file','filename':'@top'}}")]
    public async Task A_json_name_with_null_numbers_and_nested_objects_means_what_it_means_to_the_peer(string json)
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 @base 1M");
        await peer.TheirsAsync("create -q -f qcow2 -F qcow2 -b @base @top");
        foreach (string command in new[] { "info", "info --output=json", "map", "check", "measure -O qcow2", "convert -O raw" })
        {
            await peer.SameAsync($"{command} json:{json}{(command.StartsWith("convert", StringComparison.Ordinal) ? " @out" : "")}");
        }
    }

    [Theory]
    [InlineData("none")]
    [InlineData("off")]
    [InlineData("directsync")]
    [InlineData("writethrough")]
    [InlineData("writeback")]
    [InlineData("unsafe")]
    public async Task Each_cache_mode_keeps_what_is_written(string mode)
    {
        using var peer = new ImgPeer();
        await peer.OursAsync("create -q -f qcow2 @q 1M");
        Assert.Equal(0, (await peer.OursAsync($"bench -w -t {mode} --pattern 9 -c 256 @q")).Code);
        await File.WriteAllBytesAsync(peer.Path("r"), Filled(1 << 20, 9), TestContext.Current.CancellationToken);
        Assert.Equal(0, (await peer.TheirsAsync("compare -f raw -F qcow2 @r @q")).Code);
        Assert.Equal(0, (await peer.TheirsAsync("check -q @q")).Code);
    }

    [Fact]
    public async Task Writethrough_flushes_after_each_write_and_unsafe_never()
    {
        var through = new FlushCounter();
        var device = new CacheDevice(CheckedDevice.Wrap(new RawDevice(through)));
        await device.ResizeAsync(4096, Preallocation.Off, TestContext.Current.CancellationToken);
        await device.WriteAsync(0, new byte[512], WriteFlags.None, TestContext.Current.CancellationToken);
        await device.WriteZeroesAsync(512, 512, ZeroFlags.None, TestContext.Current.CancellationToken);
        Assert.Equal(2, through.Flushes);

        var never = new FlushCounter();
        await new WindowStorage(never, flushes: false).FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, never.Flushes);
    }

    private static byte[] Filled(int length, byte value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private sealed class FlushCounter() : DelegatingStorage(new MemoryStorage())
    {
        public int Flushes { get; private set; }

        public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        {
            Flushes++;
            return base.FlushAsync(cancellationToken);
        }
    }
}
