using System.Text;
using Paddock.Block;
using Paddock.Cli.Native;
using Paddock.Compat;
using Paddock.Compat.Img;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nvme;
using Paddock.Server;

namespace Paddock.Cli.Tests;

/// <summary>Sources of keys (files, the environment, `gen-dhchap-key`), and a server that uses them.</summary>
public sealed class AuthKeysTests : IDisposable
{
    private const string HostNqn = "nqn.2014-08.org.example:host";

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-keys-").FullName;
    private readonly string _key = DhChapKey.Generate(32, null, null)
        .Export(), _controller = DhChapKey.Generate(48, DhChapHash.Sha384, null).Export();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Key_file_has_a_line_per_host_and_comments()
    {
        var keys = DhChapSecrets.ReadFile(Write($"# who may in\n\n{HostNqn} {_key} # laptop\n\tnqn.b\t{_controller}  {_key}\r\n"));
        Assert.Equal([HostNqn, "nqn.b"], keys.Keys);
        Assert.Equal((_key, null), (keys[HostNqn].Host.Export(), keys[HostNqn].Controller));
        Assert.Equal((_controller, _key), (keys["nqn.b"].Host.Export(), keys["nqn.b"].Controller!.Export()));
    }

    [Theory]
    [InlineData("nqn.a", "line 1: expected HOSTNQN KEY")]
    [InlineData("\nnqn.a KEY KEY KEY", "line 2: expected HOSTNQN KEY")]
    [InlineData("nqn.a KEY\nnqn.a KEY", "line 2: duplicate keys for this host")]
    [InlineData("nqn.a DHHC-1:07:AAAA:", "line 1: invalid key: its hash is '07'")]
    [InlineData("nqn.a KEYx", "line 1: invalid key")]
    [InlineData("nqn.a DHHC-1:00:BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:", "line 1: invalid key: its checksum")]
    public void Invalid_key_line_is_named_without_the_key(string text, string why)
    {
        string file = Write(text.Replace("KEY", _key, StringComparison.Ordinal));
        string message = Assert.Throws<ToolException>(() => DhChapSecrets.ReadFile(file)).Message;
        Assert.Contains(why, message, StringComparison.Ordinal);
        Assert.DoesNotContain(_key[10..30], message, StringComparison.Ordinal);
    }

    [Fact]
    public void Key_file_readable_by_others_is_rejected()
    {
        if (!OperatingSystem.IsWindows())
        {
            string file = Write($"{HostNqn} {_key}");
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
            Assert.Contains(
                "(mode 640)", Assert.Throws<ToolException>(() => DhChapSecrets.ReadFile(file)).Message, StringComparison.Ordinal);
        }

        Assert.Contains(
            "cannot read", Assert.Throws<ToolException>(() => DhChapSecrets.ReadFile(_folder + "/none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Environment_has_the_keys_of_all_other_hosts()
    {
        Assert.Null(DhChapSecrets.FromEnvironment(_ => null));
        var both = DhChapSecrets.FromEnvironment(name => name == DhChapSecrets.HostVariable ? _key : _controller);
        Assert.Equal((_key, _controller), (both!.Host.Export(), both.Controller!.Export()));
        Assert.Throws<ToolException>(() => DhChapSecrets.FromEnvironment(name => name == DhChapSecrets.HostVariable ? null : _controller));
        string message = Assert.Throws<ToolException>(() => DhChapSecrets.FromEnvironment(_ => "secret")).Message;
        Assert.Contains("PADDOCK_DHCHAP_SECRET: invalid key", message, StringComparison.Ordinal);
        var policy = ServeKeys.PolicyOf(
            new ServeSettings { DhchapKeys = Write($"{HostNqn} {_controller}") }, n => n == DhChapSecrets.HostVariable ? _key : null);
        Assert.Equal((_controller, _key), (policy!.Find(HostNqn)!.Host.Export(), policy.Find("nqn.x")!.Host.Export()));
    }

    [Fact]
    public void Hashes_and_groups_are_named_in_the_order_of_preference()
    {
        var settings = new ServeSettings { DhchapKeys = Write($"{HostNqn} {_key}"), DhchapHashes = ["sha384", "sha256"],
            DhchapGroups = ["null", "ffdhe8192"] };
        var policy = ServeKeys.PolicyOf(settings, _ => null)!;
        Assert.Equal([DhChapHash.Sha384, DhChapHash.Sha256], policy.Hashes);
        Assert.Equal([DhChapGroup.Null, DhChapGroup.Ffdhe8192], policy.Groups);
        Assert.Null(policy.Find("nqn.x"));
        Refused(settings with { DhchapHashes = ["1"] }, "dhchap-hashes '1'");
        Refused(settings with { DhchapGroups = ["modp"] }, "dhchap-groups 'modp'");
        Refused(new ServeSettings { DhchapHashes = ["sha256"] }, "require keys");
        Refused(settings with { DhchapKeys = Write("# none") }, "contains no keys");
        Refused(settings with { DhchapKeys = Write(_key) }, "no host NQN");
        Assert.Null(ServeKeys.PolicyOf(new ServeSettings(), _ => null));
    }

    [Fact]
    public async Task Server_accepts_hosts_with_keys_by_name_and_by_options()
    {
        var stop = TestContext.Current.CancellationToken;
        string keys = Write($"{HostNqn} {_key} {_controller}"), mine = Write($"{_key} {_controller}"), wrong = Write(_controller);
        string image = Path.Combine(_folder, "disk.raw");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], stop);
        var log = new StringWriter();
        await using var server = await PaddockServer.StartAsync(
            new ServeSettings { Images = [new ServedImage { Path = image, Format = "raw" }], Nvme = "127.0.0.1:0", DhchapKeys = keys,
            DhchapGroups = ["ffdhe2048"] },
            new ServeLog(log, TimeProvider.System, json: false));
        int port = server.NvmeAddress!.Port;
        string name = $"nvme+tcp://127.0.0.1:{port}/nqn.2026-01.io.paddock:disk?ns=1&hostnqn={HostNqn}";
        await using (var disk = await NvmeNode.OpenAsync($"{name}&dhchap-secret-file={mine}", readOnly: false, stop))
        {
            Assert.Equal(1 << 20, disk.Length);
        }

        await using (var disk = await NvmeNode.OpenAsync($"{name}&dhchap-secret-file={Uri.EscapeDataString(keys)}", readOnly: false, stop))
        {
            Assert.Equal(1 << 20, disk.Length);
        }

        var context = new ToolContext { Program = "qemu-img", Out = new StringWriter(), Error = new StringWriter() };
        string options = $"driver=nvme-tcp,host=127.0.0.1,port={port},nqn=nqn.2026-01.io.paddock:disk,hostnqn={HostNqn},"
            + $"dhchap-secret-file={mine}";
        Assert.True(await ImgTool.RunAsync(["info", "--image-opts", options], context) == 0, context.Error.ToString());
        Assert.Contains("set PADDOCK_DHCHAP_SECRET", (await Assert.ThrowsAsync<ToolException>(
            () => NvmeNode.OpenAsync(name, readOnly: false, stop).AsTask())).Message, StringComparison.Ordinal);
        Assert.Contains("AuthenticationFailed", (await Assert.ThrowsAsync<BlockException>(
            () => NvmeNode.OpenAsync($"{name}&dhchap-secret-file={wrong}", readOnly: false, stop).AsTask())).Message,
            StringComparison.Ordinal);
        string lines = log.ToString();
        Assert.Contains($"authenticated host={HostNqn} by=\"Sha512, Ffdhe2048, both ways\"", lines, StringComparison.Ordinal);
        Assert.DoesNotContain(_key[10..30], lines, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, null, 32, "DHHC-1:00:")]
    [InlineData(0, 64, 64, "DHHC-1:00:")]
    [InlineData(1, null, 32, "DHHC-1:01:")]
    [InlineData(2, null, 48, "DHHC-1:02:")]
    [InlineData(3, 64, 64, "DHHC-1:03:")]
    public void Key_has_the_format_of_nvme_cli(int hmac, int? length, int bytes, string prefix)
    {
        using var output = new MemoryStream();
        var console = new NativeConsole(output, Stream.Null, Stream.Null);
        KeyVerb.Generate(hmac, length, "nqn.a", json: false, console);
        console.Out.Flush();
        string line = Encoding.UTF8.GetString(output.ToArray());
        Assert.StartsWith(prefix, line, StringComparison.Ordinal);
        Assert.Equal(bytes, DhChapKey.Parse(line.TrimEnd('\n')).Length);
    }

    [Theory]
    [InlineData(4, null)]
    [InlineData(0, 33)]
    [InlineData(1, 48)]
    public void A_length_that_does_not_fit_is_refused(int hmac, int? length)
        => Assert.Equal(NativeExit.Usage, Assert.Throws<ToolException>(
            () => KeyVerb.Generate(hmac, length, null, json: false, new NativeConsole(Stream.Null, Stream.Null, Stream.Null))).ExitCode);

    private static void Refused(ServeSettings settings, string why)
        => Assert.Contains(
            why, Assert.Throws<ToolException>(() => ServeKeys.PolicyOf(settings, _ => null)).Message, StringComparison.Ordinal);

    private string Write(string text)
    {
        string file = Path.Combine(_folder, Path.GetRandomFileName());
        File.WriteAllText(file, text);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        return file;
    }
}
