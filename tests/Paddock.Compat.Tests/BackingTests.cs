using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Tests;

/// <summary>Files reachable through the names in an image.</summary>
public sealed class BackingTests : IDisposable
{
    private readonly ImgPeer _peer = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _peer.Dispose();

    [Theory]
    [InlineData("base", true)]
    [InlineData("./base", true)]
    [InlineData("@/base", false)]
    [InlineData("sub/../base", false)]
    [InlineData("sub/inner", false)]
    [InlineData("link-in", true)]
    [InlineData("link-out", false)]
    [InlineData("file:base", false)]
    [InlineData("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"base\"}}", false)]
    [InlineData("null-co://", false)]
    [InlineData("nbd://127.0.0.1:1/x", false)]
    [InlineData("nbd+unix:///?socket=base", false)]
    [InlineData("nvme+tcp://127.0.0.1:1/nqn.x:y", false)]
    [InlineData("blkdebug::base", false)]
    [InlineData("http://127.0.0.1:1/", false)]
    public async Task Same_directory_takes_files_beside_the_image_alone(string name, bool taken)
    {
        Directory.CreateDirectory(_peer.Path("sub"));
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1024], Token);
        await File.WriteAllBytesAsync(_peer.Path("sub/inner"), new byte[1024], Token);
        File.CreateSymbolicLink(_peer.Path("link-in"), "sub/../base");
        File.CreateSymbolicLink(_peer.Path("link-out"), "sub/inner");
        await TopAsync("top", name.Replace("@", _peer.Path(""), StringComparison.Ordinal), "raw");
        var failure = await Record.ExceptionAsync(() => OpenAsync("top", BackingPolicy.SameDirectory));
        Assert.Equal(taken, failure is null);
        Assert.True(taken || failure!.Message.Contains("--backing", StringComparison.Ordinal), failure?.Message);
        Assert.NotNull(await Record.ExceptionAsync(() => OpenAsync("top", BackingPolicy.None)));
    }

    [Theory]
    [InlineData("@/base", true)]
    [InlineData("@/sub/inner", false)]
    [InlineData("@/sub/../base", false)]
    public async Task Nbd_tool_takes_the_absolute_path_of_the_own_directory(string name, bool taken)
    {
        Directory.CreateDirectory(_peer.Path("sub"));
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1024], Token);
        await File.WriteAllBytesAsync(_peer.Path("sub/inner"), new byte[1024], Token);
        await TopAsync("top", name.Replace("@", _peer.Path(""), StringComparison.Ordinal), "raw");
        var opener = new ImageOpener("t", TextWriter.Null) { Backing = BackingPolicy.SameDirectory, AcceptsOwnPaths = true };
        var failure = await Record.ExceptionAsync(
            async () => await (await opener.OpenAsync(_peer.Path("top"), new OpenSettings())).DisposeAsync());
        Assert.Equal(taken, failure is null);
    }

    [Fact]
    public async Task The_directory_is_that_of_the_image_itself_not_of_a_link_to_it()
    {
        Directory.CreateDirectory(_peer.Path("images"));
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1024], Token);
        await TopAsync("images/top", "base", "raw");
        File.CreateSymbolicLink(_peer.Path("link"), "images/top");
        var failure = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("link", BackingPolicy.SameDirectory));
        Assert.Contains("own directory", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_chain_in_one_directory_opens_and_each_of_its_images_is_held_to_it()
    {
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1024], Token);
        await TopAsync("mid", "base", "raw");
        await TopAsync("top", "mid", "qcow2");
        await OpenAsync("top", BackingPolicy.SameDirectory);
        await TopAsync("mid", "/etc/passwd", "raw");
        await Assert.ThrowsAsync<ToolException>(() => OpenAsync("top", BackingPolicy.SameDirectory));
        await OpenAsync("top", BackingPolicy.Any);
    }

    [Fact]
    public async Task What_the_user_typed_in_place_of_a_backing_name_is_not_held_to_the_policy()
    {
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1024], Token);
        await TopAsync("top", "/nowhere", "raw");
        string name = $"json:{{'driver':'qcow2','file':{{'driver':'file','filename':'{_peer.Path("top")}'}},"
            + $"'backing':{{'driver':'raw','file':{{'driver':'file','filename':'{_peer.Path("base")}'}}}}}}";
        await using var node = await Opener(BackingPolicy.None).OpenAsync(name, new OpenSettings());
        Assert.NotNull(node.Backing);
    }

    [Theory]
    [InlineData("fifo")]
    [InlineData("/dev/null")]
    [InlineData("/dev/zero")]
    public async Task A_backing_file_that_is_neither_a_file_nor_a_block_device_is_refused_at_once(string name)
    {
        await MakeFifoAsync();
        await TopAsync("top", name, "raw");
        var failure = await Assert.ThrowsAsync<ToolException>(
            () => OpenAsync("top", BackingPolicy.Any).WaitAsync(TimeSpan.FromMinutes(1), Token));
        Assert.Contains("neither a regular file nor a block device", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_FIFO_as_an_image_is_refused_at_once()
    {
        await MakeFifoAsync();
        foreach (string line in new[] { "info @fifo", "resize -f raw @fifo 1M", "convert -O raw @fifo @out" })
        {
            var run = await _peer.OursAsync(line).WaitAsync(TimeSpan.FromMinutes(1), Token);
            Assert.Contains("to be a regular file", run.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("self", "self")]
    [InlineData("self", "hard")]
    [InlineData("self", "soft")]
    public async Task A_loop_is_found_by_what_the_files_are_not_by_their_names(string name, string backing)
    {
        await TopAsync(name, backing, "qcow2");
        await Peer("ln", _peer.Path("self"), _peer.Path("hard"));
        File.CreateSymbolicLink(_peer.Path("soft"), "self");
        foreach (string line in new[] { "info --backing-chain @self", "map @self", "convert -O raw @self @out", "measure -O raw @self",
            "compare @self @self" })
        {
            var run = await _peer.OursAsync(line);
            Assert.True(run.Code != 0 && run.Error.Contains("infinite loop", StringComparison.Ordinal), $"{line}: {run.Error}");
        }
    }

    [Fact]
    public async Task A_chain_of_64_images_opens_and_one_more_does_not()
    {
        await File.WriteAllBytesAsync(_peer.Path("0"), new byte[1024], Token);
        for (int i = 1; i <= 64; i++)
        {
            await TopAsync($"{i}", $"{i - 1}", i == 1 ? "raw" : "qcow2");
        }

        await OpenAsync("63", BackingPolicy.SameDirectory);
        Assert.Equal(0, (await _peer.OursAsync("info --backing-chain @63")).Code);
        Assert.Contains("more than 64", (
            await Assert.ThrowsAsync<ToolException>(() => OpenAsync("64", BackingPolicy.SameDirectory))).Message, StringComparison.Ordinal);
        Assert.Contains("more than 64", (await _peer.OursAsync("info --backing-chain @64")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_tables_of_a_chain_have_a_limit_together()
    {
        // 32 MiB of L1 each, as holes
        await _peer.OursAsync("create -q -f qcow2 -o cluster_size=2M @0 1M");
        const long entries = 4 << 20;
        for (int i = 0; i < 5; i++)
        {
            if (i > 0)
            {
                await _peer.OursAsync($"create -q -f qcow2 -o cluster_size=2M -u -b {i - 1} -F qcow2 @{i} 1M");
            }

            await using var file = File.Open(_peer.Path($"{i}"), FileMode.Open);
            file.SetLength(file.Length + (entries * 8));
            file.Position = 36;
            file.Write([0, 0x40, 0, 0]);
        }

        await OpenAsync("2", BackingPolicy.Any);
        var failure = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("4", BackingPolicy.Any));
        Assert.Contains($"more than {ImageChain.MaxTableBytes} bytes", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_secret_of_the_environment_goes_to_typed_addresses_alone()
    {
        string name = "nvme+tcp://127.0.0.1:1/nqn.2014-08.org.example:x";
        string key = _peer.Path("key");
        await File.WriteAllTextAsync(key, "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:\n", Token);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(key, UnixFileMode.UserRead);
        }

        Assert.NotNull(NvmeName.Parse($"{name}?dhchap-secret-file={key}", isTyped: true).Options.Keys);
        Assert.Contains("name a file of secrets", Assert.Throws<ToolException>(
            () => NvmeName.Parse($"{name}?dhchap-secret-file={key}", isTyped: false)).Message, StringComparison.Ordinal);
        Environment.SetEnvironmentVariable(DhChapSecrets.HostVariable, "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:");
        try
        {
            Assert.NotNull(NvmeName.Parse(name, isTyped: true).Options.Keys);
            Assert.Null(NvmeName.Parse(name, isTyped: false).Options.Keys);
        }
        finally
        {
            Environment.SetEnvironmentVariable(DhChapSecrets.HostVariable, null);
        }
    }

    [Fact]
    public async Task An_image_cannot_name_a_file_of_secrets_for_its_backing_drive()
    {
        await TopAsync("top", "nvme+tcp://127.0.0.1:1/nqn.2014-08.org.example:x?dhchap-secret-file=/etc/key", "raw");
        await TopAsync("json", "json:{\"driver\":\"nvme-tcp\",\"host\":\"127.0.0.1\",\"port\":1,\"nqn\":\"nqn.2014-08.org.example:x\","
            + "\"dhchap-secret-file\":\"/etc/key\"}", "raw");
        foreach (string name in new[] { "top", "json" })
        {
            var failure = await Assert.ThrowsAsync<ToolException>(() => OpenAsync(name, BackingPolicy.Any));
            Assert.Contains("must not name a file of secrets", failure.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("{\"driver\":\"nvme-tcp\",\"host\":\"127.0.0.1\",\"port\":1,\"nqn\":\"nqn.a:x\",\"dhchap-secret-file\":\"/etc/key\"}",
        "name a file of secrets")]
    [InlineData("{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/dev/zero\"}}",
        "neither a regular file nor a block device")]
    [InlineData("{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"@fifo\"}}", "neither a regular file nor a block device")]
    [InlineData("{\"driver\":\"blkdebug\",\"config\":\"/dev/zero\",\"image\":{\"driver\":\"file\",\"filename\":\"@mid\"}}",
        "not a regular file")]
    [InlineData("{\"driver\":\"raw\",\"file.filename\":\"nbds://127.0.0.1:1/?tls-certificates=/etc\"}", "name a folder of certificates")]
    public async Task Options_inside_an_image_are_not_taken_for_typed_ones_however_deep_they_stand(string inner, string refusal)
    {
        await MakeFifoAsync();
        await TopAsync("mid", "base", "raw");
        string file = _peer.Path("mid");
        inner = inner.Replace("@", _peer.Path("") + "/", StringComparison.Ordinal);
        await TopAsync(
            "top", $"json:{{\"driver\":\"qcow2\",\"file\":{{\"driver\":\"file\",\"filename\":\"{file}\"}},\"backing\":{inner}}}", "qcow2");
        var failure = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("top", BackingPolicy.Any));
        Assert.True(failure.Message.Contains(refusal, StringComparison.Ordinal), failure.Message);
    }

    [Theory]
    [InlineData("blkdebug:@fifo:base", "not a regular file")]
    [InlineData("blkdebug:@big:base", "are allowed")]
    [InlineData("nbds://127.0.0.1:1/?tls-certificates=/etc", "name a folder of certificates")]
    public async Task A_name_in_an_image_leads_to_no_other_files_than_disks(string name, string refusal)
    {
        await MakeFifoAsync();
        await using (var big = File.Create(_peer.Path("big")))
        {
            big.SetLength(1L << 40);
        }

        await TopAsync("top", name.Replace("@", _peer.Path("") + "/", StringComparison.Ordinal), "raw");
        var failure = await Assert.ThrowsAsync<ToolException>(
            () => OpenAsync("top", BackingPolicy.Any).WaitAsync(TimeSpan.FromMinutes(1), Token));
        Assert.True(failure.Message.Contains(refusal, StringComparison.Ordinal), failure.Message);
    }

    private static ImageOpener Opener(BackingPolicy policy) => new("t", TextWriter.Null) { Backing = policy };

    private static async Task Peer(string program, params string[] words)
    {
        using var process = System.Diagnostics.Process.Start(program, words);
        await process.WaitForExitAsync(Token);
        Assert.Equal(0, process.ExitCode);
    }

    private Task MakeFifoAsync() => Peer("mkfifo", _peer.Path("fifo"));

    private async Task TopAsync(string name, string backing, string format)
    {
        await using var storage = new MemoryStorage();
        await Qcow2.Qcow2Image.CreateAsync(
            storage, new Qcow2.Qcow2CreateOptions { Size = 65536, BackingFile = backing, BackingFormat = format }, Token);
        byte[] bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes, Token);
        await File.WriteAllBytesAsync(_peer.Path(name), bytes, Token);
    }

    private async Task OpenAsync(string name, BackingPolicy policy)
    {
        await using var node = await Opener(policy).OpenAsync(_peer.Path(name), new OpenSettings());
    }
}
