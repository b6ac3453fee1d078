namespace Paddock.Compat.Tests;

/// <summary>Extended L2 entries through the command lines, beside QEMU's.</summary>
public class ExtendedL2Tests
{
    [Theory]
    [InlineData("create -f qcow2 -o extended_l2=on @new 1M")]
    [InlineData("create -f qcow2 -o extended_l2=on,cluster_size=8k @new 1M")]
    [InlineData("create -f qcow2 -o extended_l2=on,compat=0.10 @new 1M")]
    [InlineData("create -f qcow2 -o extended_l2=on,compat=v2,cluster_size=512 @new 1M")]
    [InlineData("create -f qcow2 -o extended_l2=foo @new 1M")]
    [InlineData("create -f qcow2 -o extended_l2=on,preallocation=metadata -F qcow2 -b @i @new")]
    [InlineData("create -f qcow2 -o extended_l2=off,preallocation=metadata -F qcow2 -b @i @new")]
    [InlineData("info @i")]
    [InlineData("info --output=json @i")]
    [InlineData("map @i")]
    [InlineData("map --output=json @i")]
    [InlineData("map --output=json @over")]
    [InlineData("map --output=json -s 70000 -l 300k @over")]
    [InlineData("map --output=json @pre")]
    [InlineData("map @pre")]
    [InlineData("check @i")]
    [InlineData("check --output=json @over")]
    [InlineData("compare @i @over")]
    [InlineData("measure -O qcow2 @over")]
    [InlineData("measure -O qcow2 -o extended_l2=on @over")]
    public async Task Command_line_does_as_the_peers(string line)
    {
        using var peer = await MakeAsync();
        await peer.SameAsync(line);
    }

    [Theory]
    [InlineData("alloc 0 4M")]
    [InlineData("alloc 32k 64k")]
    [InlineData("map")]
    [InlineData("info")]
    [InlineData("read -P 3 1M 4k")]
    public async Task Io_command_does_as_the_peers(string command)
    {
        using var peer = await MakeAsync();
        await ImgPeer.SameIoWordsAsync(["-r", "-c", command, peer.Path("over")]);
    }

    [Fact]
    public async Task Converted_and_resized_images_are_sound_and_equal()
    {
        using var peer = await MakeAsync();
        foreach (string line in new[]
        {
            "convert -O qcow2 -o extended_l2=on,cluster_size=128k @over @flat", "convert -c -O qcow2 -o extended_l2=on @over @packed",
            "convert -O raw @flat @raw", "resize -q @flat 6M", "resize -q --shrink @flat 3M",
        })
        {
            var run = await peer.OursAsync(line);
            Assert.Equal((line, 0, ""), (line, run.Code, run.Error));
        }

        Assert.Equal(0, (await peer.TheirsAsync("compare @over @packed")).Code);
        Assert.Equal(0, (await peer.TheirsAsync("compare -f qcow2 -F raw @over @raw")).Code);
        foreach (string image in new[] { "flat", "packed", "over", "i", "pre" })
        {
            Assert.Equal(0, (await peer.TheirsAsync($"check @{image}")).Code);
            Assert.Equal(0, (await peer.OursAsync($"check @{image}")).Code);
        }
    }

    private static async Task<ImgPeer> MakeAsync()
    {
        var peer = new ImgPeer();
        await peer.TheirsAsync("create -q -f qcow2 -o extended_l2=on @i 4M");
        await peer.IoAsync("i", "write -P 1 10k 100k", "write -c -P 2 256k 64k", "write -P 3 1M 4k", "write -z 1028k 20k");
        await peer.TheirsAsync("create -q -f qcow2 -o extended_l2=on,cluster_size=64k -F qcow2 -b @i @over 4M");
        await peer.IoAsync(
            "over", "write -P 4 40k 1k", "write -z 60k 70k", "write -z -u 200k 300k", "write -P 5 3M 300k", "discard 3200k 64k");
        await peer.TheirsAsync("create -q -f qcow2 -o extended_l2=on,preallocation=metadata @pre 1M");
        await peer.IoAsync("pre", "write -P 6 64k 2k", "write -z 70k 2k");
        return peer;
    }
}
