using Paddock.Block;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Authentication between the host and the target, over loopback.</summary>
public class AuthenticationTests
{
    public static TheoryData<DhChapHash, DhChapGroup, bool> Combinations
    {
        get
        {
            var all = new TheoryData<DhChapHash, DhChapGroup, bool>();
            foreach (var hash in Enum.GetValues<DhChapHash>())
            {
                foreach (var group in Enum.GetValues<DhChapGroup>())
                {
                    // the slowest group once in each direction
                    if (group != DhChapGroup.Ffdhe8192 || hash == DhChapHash.Sha512)
                    {
                        all.Add(hash, group, false);
                        all.Add(hash, group, true);
                    }
                }
            }

            return all;
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task Each_hash_authenticates_with_each_group_in_one_and_both_directions(DhChapHash hash, DhChapGroup group, bool both)
    {
        await using var bench = await Secrets.StartAsync(hash, group);
        string agreed = "";
        bench.Target.Authenticated += (_, text) => agreed = text;
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = both ? Secrets.Both : Secrets.OneWay });
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        Assert.Equal(0, await disk.Zones!.AppendAsync(0, new byte[4096]));
        Assert.Equal($"{hash}, {group}, {(both ? "both ways" : "one way")}", agreed);
    }

    [Fact]
    public async Task Several_queues_authenticate_separately()
    {
        await using var bench = await Secrets.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.Both, IoQueues = 4 });
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => disk.Zones!.AppendAsync(0, new byte[4096]).AsTask()));
    }

    [Fact]
    public async Task Host_with_a_wrong_key_is_rejected()
    {
        await using var bench = await Secrets.StartAsync();
        var wrong = new DhChapKeys(DhChapKey.Generate(48, DhChapHash.Sha384, null), null);
        Assert.Contains(
            "it refused: AuthenticationFailed", await RefusalAsync(bench.HostOptions() with { Keys = wrong }), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task Host_without_a_key_is_rejected()
    {
        await using var bench = await Secrets.StartAsync();
        Assert.Contains("no key is configured", await RefusalAsync(bench.HostOptions()), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task Host_unknown_to_the_target_is_rejected_at_Connect()
    {
        await using var bench = await Secrets.StartAsync();
        string why = await RefusalAsync(bench.HostOptions() with { HostNqn = "nqn.2014-08.org.example:stranger", Keys = Secrets.OneWay });
        Assert.Contains("does not admit host", why, StringComparison.Ordinal);

    }

    [Fact]
    public async Task Default_keys_apply_to_hosts_without_their_own()
    {
        await using var bench = await Secrets.StartAsync();
        bench.Subsystem.Authentication = new DhChapPolicy { Others = Secrets.OneWay, Groups = [DhChapGroup.Null] };
        await using var host = await NvmeTcpHost.ConnectAsync(
            bench.HostOptions() with { HostNqn = "nqn.2014-08.org.example:stranger", Keys = Secrets.OneWay });
    }

    [Theory]
    [InlineData(true, "did not prove")]
    [InlineData(false, "it refused: AuthenticationFailed")]
    public async Task Controller_without_the_right_key_is_rejected(bool hasKey, string why)
    {
        await using var bench = await Secrets.StartAsync(
            targetKeys: Secrets.OneWay with { Controller = hasKey ? DhChapKey.Generate(32, null, null) : null });
        Assert.Contains(why, await RefusalAsync(bench.HostOptions() with { Keys = Secrets.Both }), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task Host_requires_authentication_of_the_controller_even_if_the_controller_requires_none()
    {
        await using var bench = await Bench.StartAsync();
        await Assert.ThrowsAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.Both }).AsTask());
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.OneWay });
    }

    [Theory]
    [InlineData(DhChapHash.Sha256, DhChapGroup.Null, "HashUnusable")]
    [InlineData(DhChapHash.Sha512, DhChapGroup.Ffdhe2048, "GroupUnusable")]
    public async Task Negotiation_without_a_common_group_or_hash_is_rejected(DhChapHash hash, DhChapGroup group, string why)
    {
        await using var bench = await Secrets.StartAsync(DhChapHash.Sha512, DhChapGroup.Null);
        var options = bench.HostOptions() with { Keys = Secrets.OneWay, Hashes = [hash], Groups = [group] };
        Assert.Contains(why, await RefusalAsync(options), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Removed_keys_reject_new_hosts_and_keep_connected_ones()
    {
        await using var bench = await Secrets.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.OneWay });
        bench.Subsystem.Authentication = new DhChapPolicy { Hosts = new Dictionary<string, DhChapKeys> { ["nqn.a"] = Secrets.Both } };
        Assert.Equal([1u], await host.ListAsync());
        Assert.Contains(
            "does not admit host", await RefusalAsync(bench.HostOptions() with { Keys = Secrets.OneWay }), StringComparison.Ordinal);
    }

    private static async Task<string> RefusalAsync(NvmeTcpHostOptions options)
        => (await Assert.ThrowsAnyAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(options).AsTask())).Message;
}
