using System.Text.RegularExpressions;
using Paddock.Block;
using Paddock.Images;
using Paddock.Qcow2;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>Bits that one side records, as the other reads them: from the image, and over NBD.</summary>
public sealed partial class BitmapPeerTests : IDisposable
{
    private const int Size = 8 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("bitmappeer-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("cluster_size=64k", "64k")]
    [InlineData("cluster_size=512", "512")]
    [InlineData("cluster_size=4k,extended_l2=off,refcount_bits=1", "4k")]
    [InlineData("cluster_size=2M", "128k")]
    public async Task Random_changes_by_either_side_set_the_same_bits(string options, string granularity)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        string image = At("i"), twin = At("twin");
        foreach (string file in new[] { image, twin })
        {
            await Peer.MustAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, file, Size.ToString(null, null));
            await Peer.MustAsync("qemu-img", "bitmap", "--add", "-g", granularity, file, "b");
        }

        for (int session = 0; session < 3; session++)
        {
            string[] commands = [.. Enumerable.Range(0, 8).SelectMany(_ => new[] { "-c", Command(random) })];
            var run = await Ours.IoAsync([.. commands, "-f", "qcow2", image]);
            Assert.Equal((0, ""), (run.Code, run.Error));
            await Peer.MustAsync("qemu-io", [.. commands, "-f", "qcow2", twin]);

            // each goes on with the image of the other
            (image, twin) = (twin, image);
            string expected = await OverNbdAsync("qemu-nbd", twin);
            Assert.Equal(expected, await OverNbdAsync("qemu-nbd", image));
            Assert.Equal(expected, await OverNbdAsync("ours", image));
            Assert.Equal(expected, await ReadAsync(image));
            Assert.Equal(expected, await ReadAsync(twin));
        }

        await Peer.MustAsync("qemu-img", "check", image);
        await Peer.MustAsync("qemu-img", "check", twin);
    }

    [Fact]
    public async Task Libnbd_lists_and_reads_the_bitmaps_of_our_server()
    {
        string image = At("i"), socket = At("s");
        await Peer.MustAsync("qemu-img", "create", "-q", "-f", "qcow2", image, "1M");
        await Peer.MustAsync("qemu-img", "bitmap", "--add", image, "first");
        await Peer.MustAsync("qemu-img", "bitmap", "--add", image, "second");
        await using var served = await Ours.ServeAsync("-t", "-k", socket, "-f", "qcow2", "-A", "-B", "second", "-B", "first", image);
        string uri = $"nbd+unix:///?socket={socket}";
        await Peer.MustAsync("qemu-io", "-f", "raw", "-c", "write 64k 64k", uri);
        string info = await Peer.MustAsync("nbdinfo", uri);
        Assert.Contains("qemu:dirty-bitmap:first", info, StringComparison.Ordinal);
        Assert.Contains("qemu:dirty-bitmap:second", info, StringComparison.Ordinal);
        string map = await Peer.MustAsync("nbdinfo", "--map=qemu:dirty-bitmap:first", uri);
        Assert.Matches(@"^\s+0\s+65536\s+0\s+clean\s+65536\s+65536\s+1\s+dirty\s+131072\s+917504\s+0\s+clean\s+$", map);
        var listed = await Ours.NbdAsync(Token, "-L", "-k", socket);
        Assert.Equal((0, await Peer.MustAsync("qemu-nbd", "-L", "-k", socket), ""), (listed.Code, listed.Out, listed.Error));
    }

    [Fact]
    public async Task Context_that_the_server_does_not_have_is_refused()
    {
        string image = At("i"), socket = At("s");
        await Peer.MustAsync("qemu-img", "create", "-q", "-f", "qcow2", image, "1M");
        await using var served = await Ours.ServeAsync("-t", "-r", "-k", socket, "-f", "qcow2", image);
        string name = $"driver=nbd,server.type=unix,server.path={socket},x-dirty-bitmap=qemu:dirty-bitmap:b";
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await Img.ImgTool.RunAsync(
            ["map", "--output=json", "--image-opts", name], new ToolContext { Program = "qemu-img", Out = output, Error = error });
        var theirs = await Peer.RunAsync("qemu-img", "map", "--output=json", "--image-opts", name);
        Assert.Equal((theirs.Code, theirs.Out), (code, output.ToString()));
        Assert.Equal(theirs.Error, error.ToString());
    }

    private static string Command(Random random)
    {
        int offset = random.Next(Size / 512) * 512, length = Math.Min(Size - offset, random.Next(1, 400) * 512);
        return random.Next(4) switch
        {
            0 => $"write -z {offset} {length}",
            1 => $"write -z -u {offset} {length}",
            2 => $"discard {offset} {length}",
            _ => $"write {offset} {length}",
        };
    }

    private async Task<string> OverNbdAsync(string server, string image)
    {
        string socket = At("s"), uri = $"nbd+unix:///?socket={socket}";
        string name = $"driver=nbd,server.type=unix,server.path={socket},x-dirty-bitmap=qemu:dirty-bitmap:b";
        string[] words = ["-t", "-r", "-k", socket, "-f", "qcow2", "-B", "b", image];
        await using IAsyncDisposable served = server == "ours" ? await Ours.ServeAsync(words) : await NbdProcess.StartAsync(words);
        string map = await Peer.MustAsync("qemu-img", "map", "--output=json", "--image-opts", name);
        Assert.Equal(map, await Ours.ImgAsync("map", "--output=json", "--image-opts", name));
        File.Delete(socket);
        return string.Join(
            ' ', Runs().Matches(map).Where(static m => m.Groups[3].Value == "false").Select(static m => $"{m.Groups[1]}+{m.Groups[2]}"));
    }

    private static async Task<string> ReadAsync(string image)
    {
        await using var storage = ImageOpener.OpenFile(image, readOnly: true);
        await using var device = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true }, Token);
        var bitmap = await device.Bitmaps.OpenAsync("b", Token);
        var runs = new List<string>();
        for (long offset = 0; offset < Size;)
        {
            var run = bitmap.Find(offset, Size - offset);
            if (run.IsDirty)
            {
                runs.Add($"{offset}+{run.Length}");
            }

            offset += run.Length;
        }

        return string.Join(' ', runs);
    }

    private string At(string name) => Path.Combine(_folder, name);

    [GeneratedRegex("\"start\": (\\d+), \"length\": (\\d+),.*\"data\": (true|false)")]
    private static partial Regex Runs();
}
