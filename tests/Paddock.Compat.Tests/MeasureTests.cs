namespace Paddock.Compat.Tests;

public class MeasureTests
{
    [Theory]
    [InlineData("measure --size 1G")]
    [InlineData("measure --size 1000")]
    [InlineData("measure --size 1000 -O qcow2")]
    [InlineData("measure --size 1G -O qcow2 --output json")]
    [InlineData("measure -O qcow2 --size 0")]
    [InlineData("measure -O qcow2 --size 64P")]
    [InlineData("measure -O qcow2 --size 7E")]
    [InlineData("measure -O qcow2 -o refcount_bits=1 --size 8T")]
    [InlineData("measure -O qcow2 -o refcount_bits=64,cluster_size=2M --size 100T")]
    [InlineData("measure -O qcow2 -o cluster_size=512 --size 1T")]
    [InlineData("measure -O qcow2 -o preallocation=full --size 1G")]
    [InlineData("measure -O qcow2 -o preallocation=metadata --size 1G")]
    [InlineData("measure -O qcow2 -o lazy_refcounts=on,compat=0.10 --size 1")]
    [InlineData("measure @odd -f raw -O qcow2")]
    [InlineData("measure @odd -f raw")]
    [InlineData("measure @q")]
    [InlineData("measure -O qcow2 @q")]
    [InlineData("measure -O qcow2 -U --output=json @q")]
    [InlineData("measure -O qcow2 -o cluster_size=4k @q")]
    [InlineData("measure -O qcow2 -o cluster_size=1M @q")]
    [InlineData("measure -O qcow2 -o backing_file=x @q")]
    [InlineData("measure -O qcow2 -o preallocation=falloc @q")]
    [InlineData("measure -O qcow2 --image-opts driver=qcow2,file.filename=@q")]
    [InlineData("measure")]
    [InlineData("measure --size 1G @q")]
    [InlineData("measure @q @odd")]
    [InlineData("measure -O foo --size 1G")]
    [InlineData("measure -O qcow2 -o extended_l2=on --size 1T")]
    [InlineData("measure -O qcow2 -o extended_l2=on,cluster_size=2M --size 100T")]
    [InlineData("measure -O qcow2 -o extended_l2=on,cluster_size=16k @q")]
    [InlineData("measure -O qcow2 -o extended_l2=on,cluster_size=8k --size 1G")]
    [InlineData("measure -O qcow2 -o extended_l2=on,compat=0.10 --size 1G")]
    [InlineData("measure -O qcow2 -o extended_l2=on --size 2P")]
    [InlineData("measure --size x")]
    [InlineData("measure --size -1")]
    [InlineData("measure --size 8E")]
    [InlineData("measure -f raw --size 1G")]
    [InlineData("measure --image-opts --size 1G")]
    [InlineData("measure -O qcow2 --output foo --size 1G")]
    [InlineData("measure -O qcow2 -o cluster_size=3000 --size 1G")]
    [InlineData("measure -O qcow2 -o foo=1 --size 1G")]
    [InlineData("measure -O raw -o foo=1 --size 1G")]
    [InlineData("measure -O qcow2 -o preallocation=foo --size 1G")]
    [InlineData("measure -O qcow2 -o compat=foo --size 1G")]
    [InlineData("measure -O qcow2 -o lazy_refcounts=foo --size 1G")]
    [InlineData("measure -O qcow2 -o refcount_bits=3 --size 1G")]
    [InlineData("measure -O qcow2 -o compat=0.10,refcount_bits=1 --size 1G")]
    [InlineData("measure @missing")]
    [InlineData("measure -l snapshot.foo=bar")]
    [InlineData("measure -l snapshot.foo=bar --size 1G @q")]
    [InlineData("measure -l snapshot.name=none @q")]
    [InlineData("measure -z")]
    public async Task Measure_says_what_the_peer_says(string line)
    {
        using var peer = new ImgPeer();
        await File.WriteAllBytesAsync(peer.Path("odd"), new byte[1000], TestContext.Current.CancellationToken);
        await peer.TheirsAsync("create -q -f qcow2 @q 64M");
        await peer.IoAsync("q", "write 5M 777k", "write 60k 8k", "write -z 20M 1M", "write 63M 1M");
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("measure -O qcow2 @q")]
    [InlineData("measure -O qcow2 -o cluster_size=4k @q")]
    [InlineData("map --output=json @q")]
    [InlineData("map @q")]
    public async Task Clusters_that_lie_in_holes_of_the_file_count_as_the_peer_counts_them(string line)
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 -o preallocation=metadata @q 3G");
        await peer.SameAsync(line);
        await peer.IoAsync("q", "write 5M 777k", "write 1G 1M", "write 2G 3k");
        await peer.SameAsync(line);
    }

    [Fact]
    public async Task An_image_of_1_TiB_with_preallocated_metadata_measures_as_its_tables()
    {
        using var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 -o preallocation=metadata @q 1T");
        await peer.SameAsync("measure -O qcow2 @q");
    }

    [Fact]
    public async Task A_zoned_image_with_all_data_is_no_larger_than_measured()
    {
        const string options = "zone_model=host-managed,zone_size=1M", size = "64M";
        using var peer = new ImgPeer();
        var measured = await peer.OursAsync($"measure -O qcow2 -o {options} --size {size}");
        long full = long.Parse(measured.Out.Split('\n')[1].Split(' ')[^1], null);
        Assert.Equal(0, (await peer.OursAsync($"create -q -f qcow2 -o {options} @q {size}")).Code);
        Assert.Equal(0, (await peer.OursAsync("bench -w --pattern 1 -c 256 -s 256k -d 1 @q")).Code);
        Assert.InRange(new FileInfo(peer.Path("q")).Length, 1, full);
    }
}
