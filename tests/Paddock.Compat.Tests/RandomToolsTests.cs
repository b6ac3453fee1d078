using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>
/// One image with random create options goes through random commands, each by QEMU's tools or by ours; after every command the other side
/// reads the whole disk, and both check the image. Snapshots are read when they are applied, and at the end.
/// </summary>
public sealed class RandomToolsTests : IDisposable
{
    private const int Size = 3 << 20, BaseSize = 2 << 20, Steps = 6;
    private const string Secret = "secret,id=s,data=open sesame";

    private readonly string _folder = Directory.CreateTempSubdirectory("randomtools-").FullName;
    private readonly Dictionary<string, byte[]> _snapshots = [];
    private readonly List<string> _done = [];
    private Random _random = null!;
    private byte[] _disk = [];
    private Made _made = null!;
    private int _names;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, 8)];

    private string ImageOptions => _made.Open;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Image_means_the_same_to_both_after_random_commands_of_either(int index)
    {
        _random = new Random(unchecked(TestSeed.Next() + index));
        await CreateAsync();
        await VerifyAsync();
        for (int i = 0; i < Steps; i++)
        {
            bool ours = _random.Next(2) == 0;
            await StepAsync(ours);
            await VerifyAsync(byOurs: !ours);
        }

        foreach (string name in _snapshots.Keys.ToList())
        {
            await ApplyAsync(ours: _random.Next(2) == 0, name);
            await VerifyAsync();
        }
    }

    private string At(string name) => Path.Combine(_folder, name);

    private T Pick<T>(params T[] values) => values[_random.Next(values.Length)];

    private async Task CreateAsync()
    {
        _made = Make(At("image0"), mayHaveBacking: true);
        _disk = new byte[Size];
        List<string> words = ["create", "--object", Secret, "-q", "-f", "qcow2", "-o", _made.Options];
        if (_made.Backing is { } format)
        {
            _random.NextBytes(_disk.AsSpan(0, BaseSize));
            foreach (string name in new[] { "base", "other" })
            {
                await File.WriteAllBytesAsync(At("raw"), _disk[..BaseSize], TestContext.Current.CancellationToken);
                await Peer.MustAsync("qemu-img", "convert", "-f", "raw", "-O", format, At("raw"), At(name));
            }

            words.AddRange(["-b", At("base"), "-F", format]);
        }

        await RunAsync(_made.IsOurs || _random.Next(2) == 0, "img", [.. words, _made.File, Size.ToString(null, null)]);
        if (_made.HasFeatures && _random.Next(3) == 0)
        {
            await ImgAsync(ours: true, "bitmap", "--add", "-g", Pick("4k", "64k"), ImageOptions, "kept");
            _made = _made with { HasBitmap = true };
        }
    }

    /// <summary>Random options, of those that QEMU accepts together.</summary>
    private Made Make(string file, bool mayHaveBacking)
    {
        bool isV2 = _random.Next(6) == 0, isExtended = !isV2 && _random.Next(3) == 0;
        string cluster = isExtended ? Pick("16k", "64k", "2M") : Pick("512", "4k", "64k", "2M");
        int bits = isV2 ? 16 : 1 << _random.Next(7);
        string? encryption = _random.Next(3) > 0 ? null : Pick("luks", "luks", "aes");
        bool hasData = !isV2 && encryption != "aes" && _random.Next(4) == 0;
        string? backing = mayHaveBacking && _random.Next(3) == 0 ? Pick("raw", "qcow2") : null;

        // a new encrypted image of QEMU's with a raw data file reads as what zeroes decrypt to
        bool isRaw = hasData && backing is null && encryption is null && _random.Next(2) == 0;
        List<string> options = [$"compat={(isV2 ? "0.10" : "1.1")}", $"cluster_size={cluster}", $"refcount_bits={bits}"];
        if (!isV2)
        {
            options.AddRange([
                $"lazy_refcounts={Pick("on", "off")}", $"compression_type={Pick("zlib", "zstd")}",
                $"extended_l2={(isExtended ? "on" : "off")}"]);
        }

        options.Add(Pick("nocow=off", "extent_size_hint=64k", "extent_size_hint=0"));
        if (hasData)
        {
            options.AddRange([$"data_file={file}.data", $"data_file_raw={(isRaw ? "on" : "off")}"]);
        }

        if (encryption is null && backing is null)
        {
            options.Add($"preallocation={Pick("off", "off", "metadata", "falloc", "full")}");
        }

        if (encryption is not null)
        {
            options.AddRange([$"encrypt.format={encryption}", "encrypt.key-secret=s"]);
            if (encryption == "luks")
            {
                string cipher = Pick("encrypt.cipher-alg=aes-128", "encrypt.cipher-mode=cbc", "encrypt.hash-alg=sha1");
                options.AddRange(["encrypt.iter-time=1", cipher]);
            }
        }

        string open = $"driver=qcow2,file.filename={file}{(encryption is null ? "" : ",encrypt.key-secret=s")}";
        return new Made(file, string.Join(',', options), open, backing, !isV2, bits > 1 && !hasData, bits)
        {
            IsOurs = encryption == "luks",
        };
    }

    private async Task StepAsync(bool ours)
    {
        switch (_random.Next(12))
        {
            // an apply counts every cluster once more for a moment: two bits take the disk, a snapshot and that
            case 0 or 1 when _made.MayHaveSnapshots && _snapshots.Count < (_made.Bits == 2 ? 1 : 4):
                string name = $"s{_names++}";
                await ImgAsync(ours, "snapshot", "-c", name, ImageOptions);
                _snapshots[name] = [.. _disk];
                break;
            case 2 when _snapshots.Count > 0:
                await ApplyAsync(ours, Pick([.. _snapshots.Keys]));
                break;
            case 3 when _snapshots.Count > 0:
                string deleted = Pick([.. _snapshots.Keys]);
                await ImgAsync(ours, "snapshot", "-d", deleted, ImageOptions);
                _snapshots.Remove(deleted);
                break;
            case 4 when _made.HasFeatures:
                await ImgAsync(ours, "amend", "-o", Pick("lazy_refcounts=on", "lazy_refcounts=off"), ImageOptions);
                break;
            case 5 when _made.HasFeatures && _snapshots.Count == 0:
                int size = Size + (512 * _random.Next(2048));
                await ImgAsync(ours, "resize", "--shrink", "-q", ImageOptions, size.ToString(null, null));
                Array.Resize(ref _disk, size);
                break;
            case 6 when _made.Backing is not null && _snapshots.Count == 0:
                await RebaseOrCommitAsync(ours);
                break;
            case 7:
                await ConvertAsync(ours);
                break;
            default:
                await WriteAsync(ours);
                break;
        }
    }

    private async Task ApplyAsync(bool ours, string name)
    {
        // QEMU refuses it while the image has bitmaps
        await ImgAsync(ours || _made.HasBitmap, "snapshot", "-a", name, ImageOptions);
        _disk = [.. _snapshots[name]];
    }

    private async Task RebaseOrCommitAsync(bool ours)
    {
        switch (_random.Next(3))
        {
            case 0:
                await ImgAsync(ours, "rebase", "-b", "", ImageOptions);
                _made = _made with { Backing = null };
                break;
            case 1:
                await ImgAsync(ours, "rebase", "-b", At("other"), "-F", _made.Backing!, ImageOptions);
                break;
            default:
                await ImgAsync(ours, Pick([["commit", "-q", "-d"], new[] { "commit", "-q" }]), ImageOptions);
                break;
        }
    }

    // from here on the copy is the image
    private async Task ConvertAsync(bool ours)
    {
        var next = Make(At($"image{++_names}"), mayHaveBacking: false);
        await ImgAsync(ours || next.IsOurs, "convert", "-O", "qcow2", "-o", next.Options, ImageOptions, next.File);
        _made = next;
        _snapshots.Clear();
    }

    private async Task WriteAsync(bool ours)
    {
        List<string> words = ["--object", Secret, "--image-opts"];
        for (int i = 0; i < 10; i++)
        {
            int offset = _random.Next(_disk.Length / 512) * 512;
            int length = Math.Min(512 * (1 + _random.Next(_random.Next(4) == 0 ? 600 : 20)), _disk.Length - offset);
            int value = _random.Next(4) == 0 ? 0 : _random.Next(1, 256);
            _disk.AsSpan(offset, length).Fill((byte)value);
            words.AddRange(["-c", value == 0 ? $"write {Pick("-z", "-z -u")} {offset} {length}" : $"write -P {value} {offset} {length}"]);
        }

        await RunAsync(ours, "io", [.. words, ImageOptions]);
    }

    private Task ImgAsync(bool ours, string command, params string[] words)
        => RunAsync(ours, "img", [command, "--object", Secret, "--image-opts", .. words]);

    private Task ImgAsync(bool ours, string[] command, string image) => ImgAsync(ours, command[0], [.. command[1..], image]);

    private async Task VerifyAsync(bool? byOurs = null)
    {
        bool ours = byOurs ?? _random.Next(2) == 0;
        string raw = At("out");
        File.Delete(raw);
        await ImgAsync(ours, "convert", "-O", "raw", ImageOptions, raw);
        byte[] found = await File.ReadAllBytesAsync(raw, TestContext.Current.CancellationToken);
        int same = found.AsSpan().CommonPrefixLength(_disk);
        Assert.True(
            same == _disk.Length && same == found.Length,
            $"{(ours ? "we" : "QEMU")} read byte {same} of {found.Length} otherwise ({_disk.Length})\n{string.Join('\n', _done)}");
        await ImgAsync(ours: true, "check", "-q", ImageOptions);
        await ImgAsync(ours: false, "check", "-q", ImageOptions);
    }

    private async Task RunAsync(bool ours, string tool, string[] words)
    {
        _done.Add($"{(ours ? "ours" : "QEMU")}: {tool} {string.Join(' ', words)}");
        var (output, error) = (new StringWriter(), new StringWriter());
        var context = new ToolContext { Program = "qemu-" + tool, Out = output, Error = error };
        var run = !ours ? await Peer.RunAsync("qemu-" + tool, words)
            : new PeerRun(
                await (tool == "img" ? ImgTool.RunAsync(words, context) : IoTool.RunAsync(words, context)), $"{output}", $"{error}");
        Assert.True(
            run.Code == 0 && !run.Out.Contains("failed", StringComparison.Ordinal),
            $"{run.Code}: {run.Out}{run.Error}\n{string.Join('\n', _done)}");
    }

    /// <summary>The image as it is.</summary>
    private sealed record Made(
        string File, string Options, string Open, string? Backing, bool HasFeatures, bool MayHaveSnapshots, int Bits)
    {
        public bool HasBitmap { get; init; }

        /// <summary>Whether we create it: for a LUKS header, QEMU measures the processor for seconds.</summary>
        public bool IsOurs { get; init; }
    }
}
