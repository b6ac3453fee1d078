using Paddock.Block;
using Paddock.Crypto;
using Paddock.Images;
using Paddock.Qcow2;

namespace Paddock.Cli.Tests;

/// <summary>Native verbs on encrypted images.</summary>
public class EncryptedImageTests
{
    private const string Passphrase = "correct horse";

    [Fact]
    public async Task Native_verbs_take_the_passphrase_of_an_encrypted_image()
    {
        using var bench = new Workbench();
        string key = await CreateAsync(bench);
        await bench.MustAsync("info disk.qcow2");
        await bench.MustAsync("append disk.qcow2 1 " + key, Workbench.Bytes(8192, 5));
        Assert.Contains("8396800", (await bench.MustAsync($"zones disk.qcow2 --json {key}")).Out, StringComparison.Ordinal);
        await bench.MustAsync($"snapshot create disk.qcow2 one {key}");
        await bench.MustAsync($"zone reset disk.qcow2 1 {key}");
        await bench.MustAsync($"snapshot apply disk.qcow2 one {key}");
        await bench.MustAsync($"zone readonly disk.qcow2 2 {key}");
        await bench.MustAsync("check disk.qcow2");
        Assert.Contains("8396800", (await bench.MustAsync($"zones disk.qcow2 --json {key}")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("append disk.qcow2 1")]
    [InlineData("zones disk.qcow2")]
    [InlineData("zone reset disk.qcow2 all")]
    [InlineData("zone offline disk.qcow2 1")]
    [InlineData("snapshot list disk.qcow2")]
    [InlineData("clone disk.qcow2 new.qcow2")]
    public async Task Encrypted_image_without_passphrase_is_rejected_with_the_option_that_takes_it(string line)
    {
        using var bench = new Workbench();
        string key = await CreateAsync(bench);
        Assert.Contains("--passphrase-file", await bench.RefusedAsync(line), StringComparison.Ordinal);
        File.SetUnixFileMode(bench["key"], UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Assert.Contains("chmod 600", await bench.RefusedAsync($"{line} {key}"), StringComparison.Ordinal);
        File.SetUnixFileMode(bench["key"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(bench["key"], "wrong horse", TestContext.Current.CancellationToken);
        string refusal = await bench.RefusedAsync($"{line} {key}");
        Assert.Contains("Invalid password", refusal, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong", refusal, StringComparison.Ordinal);
        Assert.False(File.Exists(bench["new.qcow2"]));
    }

    [Fact]
    public async Task Clones_backups_and_restored_disks_of_an_encrypted_image_are_encrypted()
    {
        using var bench = new Workbench();
        string key = await CreateAsync(bench);
        await bench.MustAsync($"append disk.qcow2 1 {key}", Workbench.Bytes(8192, 5));
        await bench.MustAsync($"zone readonly disk.qcow2 2 {key}");
        await bench.MustAsync($"clone disk.qcow2 clone.qcow2 {key}");
        await bench.MustAsync($"append clone.qcow2 1 {key}", Workbench.Bytes(512, 6));
        await bench.MustAsync($"backup disk.qcow2 full.qcow2 --full --since b {key}");
        await bench.MustAsync($"append disk.qcow2 1 {key}", Workbench.Bytes(512, 6));
        await bench.MustAsync($"backup disk.qcow2 inc.qcow2 --since b {key}");
        await bench.MustAsync($"backup restore restored.qcow2 full.qcow2 inc.qcow2 {key}");
        foreach (string name in new[] { "clone.qcow2", "full.qcow2", "inc.qcow2", "restored.qcow2" })
        {
            Assert.Contains("--passphrase-file", await bench.RefusedAsync($"zones {name}"), StringComparison.Ordinal);
            var open = new DiskOptions { Passphrase = Bytes(Passphrase), ReadOnly = true, Backing = BackingPolicy.SameDirectory };
            await using var disk = await Qcow2Disk.OpenAsync(bench[name], open, TestContext.Current.CancellationToken);
            byte[] sector = new byte[512];
            await disk.ReadAsync((8 << 20) + 8192, sector, TestContext.Current.CancellationToken);
            Assert.Equal(name == "full.qcow2" ? 0 : 6, sector[0]);
            await bench.MustAsync($"check {name}");
        }

        Assert.Contains("oldest first", await bench.RefusedAsync($"backup restore r.qcow2 full.qcow2 inc.qcow2 inc.qcow2 {key}"),
            StringComparison.Ordinal);
    }

    private static byte[] Bytes(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    /// <summary>Creates an encrypted zoned image, and returns the option with its passphrase.</summary>
    private static async Task<string> CreateAsync(Workbench bench)
    {
        await File.WriteAllTextAsync(bench["key"], Passphrase + "\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(bench["key"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var options = new Qcow2CreateOptions
        {
            Encryption = new LuksOptions { Passphrase = Bytes(Passphrase), IterationTime = TimeSpan.Zero },
            Zoned = new ZonedCreateOptions { ZoneSize = 8 << 20 },
        };
        await using var disk = await Qcow2Disk.CreateAsync(
            bench["disk.qcow2"], 64 << 20, options, cancellationToken: TestContext.Current.CancellationToken);
        return "--passphrase-file " + bench["key"];
    }
}
