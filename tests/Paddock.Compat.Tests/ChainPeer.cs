using System.Globalization;
using System.Text.Json;

namespace Paddock.Compat.Tests;

/// <summary>
/// Chains of images that both tools change in the same way, each a copy of its own: <c>o-NAME</c> is ours, <c>t-NAME</c> theirs.
/// </summary>
internal sealed class ChainPeer : IDisposable
{
    private readonly ImgPeer _peer = new();
    private readonly Random _random = new(TestSeed.Next());

    public Random Random => _random;

    public ImgPeer Peer => _peer;

    /// <summary>Makes an image with QEMU, twice, on a backing image of the chain.</summary>
    public async Task CreateAsync(string name, string format, long size, string? backing = null, string options = "cluster_size=64k")
    {
        foreach (string side in new[] { "o-", "t-" })
        {
            string below = backing?.EndsWith(".raw", StringComparison.Ordinal) == true ? "raw" : "qcow2";
            string over = backing is null ? "" : $"-b {side}{backing} -F {below} ";
            string line = $"create -q -f {format} {(format == "raw" ? "" : $"-o {options} ")}{over}@{side}{name} {size}";
            var made = await _peer.TheirsAsync(line);
            Assert.True(made.Code == 0, line + ": " + made.Error);
        }
    }

    /// <summary>Writes, zeroes and discards at random with QEMU, the same in both copies.</summary>
    public async Task FillAsync(string name, long size, int requests)
    {
        var commands = new List<string>();
        for (int i = 0; i < requests; i++)
        {
            long at = _random.NextInt64(size) / 512 * 512, length = Math.Min(size - at, _random.Next(1, 600) * 512L);
            commands.Add(_random.Next(5) switch
            {
                0 => Text($"write -z {at} {length}"),
                1 => Text($"write -z -u {at} {length}"),
                2 => Text($"discard {at} {length}"),
                _ => Text($"write -P {_random.Next(4)} {at} {length}"),
            });
        }

        foreach (string side in new[] { "o-", "t-" })
        {
            var run = await _peer.IoAsync(side + name, [.. commands]);
            Assert.True(run.Code == 0, run.Error);
        }
    }

    /// <summary>Runs a line in both tools; <c>@</c> begins a name in the folder. They must print the same, but for the names.</summary>
    public async Task SameAsync(string line)
    {
        var theirs = await _peer.TheirsAsync(Side(line, "t-"));
        var ours = await _peer.OursAsync(Side(line, "o-"));
        Assert.Equal((theirs.Code, Renamed(theirs.Out), Renamed(theirs.Error)), (ours.Code, ours.Out, ours.Error));
    }

    /// <summary>Both copies of an image hold, and leave to their backing image, the same ranges.</summary>
    public async Task SameMapAsync(string name)
        => Assert.Equal(await MapAsync("t-" + name), await MapAsync("o-" + name));

    /// <summary>Both copies of an image name the same backing file.</summary>
    public async Task SameBackingAsync(string name)
    {
        var theirs = await _peer.TheirsAsync($"info --image-opts driver=qcow2,backing=,file.filename=@t-{name}");
        var ours = await _peer.TheirsAsync($"info --image-opts driver=qcow2,backing=,file.filename=@o-{name}");
        Assert.Equal(Lines(Renamed(theirs.Out)), Lines(ours.Out));
        Assert.Equal(0, ours.Code);

        static string[] Lines(string text)
            => [.. text.Split('\n').Where(static l => l.StartsWith("backing", StringComparison.Ordinal))];
    }

    /// <summary>Both copies of an image read the same, and both tools find them sound.</summary>
    public async Task AgreeAsync(string name)
    {
        string format = name.EndsWith(".raw", StringComparison.Ordinal) ? "raw" : "qcow2";
        var run = await _peer.TheirsAsync($"compare -f {format} -F {format} @o-{name} @t-{name}");
        Assert.True(run.Code == 0, name + ": " + run.Out + run.Error);
        if (format == "qcow2")
        {
            var theirs = await _peer.TheirsAsync($"check @o-{name}");
            Assert.True(theirs.Code == 0, name + ": " + theirs.Out + theirs.Error);
            Assert.Equal(0, (await _peer.OursAsync($"check @o-{name}")).Code);
        }
    }

    public void Dispose() => _peer.Dispose();

    private async Task<string[]> MapAsync(string name)
    {
        var runs = new List<(long Start, string What)>();
        using var map = JsonDocument.Parse((await _peer.TheirsAsync($"map --output=json @{name}")).Out);
        foreach (var run in map.RootElement.EnumerateArray())
        {
            string what = $"{run.GetProperty("depth")} {run.GetProperty("present")}";
            if (runs.Count == 0 || runs[^1].What != what)
            {
                runs.Add((run.GetProperty("start").GetInt64(), what));
            }
        }

        return [.. runs.Select(static r => $"{r.Start}: {r.What}")];
    }

    private static string Side(string line, string side)
        => line.Replace("@", "@" + side, StringComparison.Ordinal).Replace("~", side, StringComparison.Ordinal);

    private static string Renamed(string text)
        => "/'[ ".Aggregate(text, static (t, c) => t.Replace(c + "t-", c + "o-", StringComparison.Ordinal));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
