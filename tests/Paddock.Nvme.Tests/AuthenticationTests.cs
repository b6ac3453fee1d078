using Paddock.Block;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Our host authenticates at our target, over loopback.</summary>
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
                    // the dearest group once each way
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
    public async Task Each_hash_with_each_group_one_way_and_both(DhChapHash hash, DhChapGroup group, bool both)
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
    public async Task Several_queues_authenticate_each()
    {
        await using var bench = await Secrets.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.Both, IoQueues = 4 });
        await using var disk = await host.OpenAsync(1, ownsHost: false);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => disk.Zones!.AppendAsync(0, new byte[4096]).AsTask()));
    }

    [Fact]
    public async Task A_host_with_a_wrong_key_may_not_in()
    {
        await using var bench = await Secrets.StartAsync();
        var wrong = new DhChapKeys(DhChapKey.Generate(48, DhChapHash.Sha384, null), null);
        Assert.Contains(
            "it refused: AuthenticationFailed", await RefusalAsync(bench.HostOptions() with { Keys = wrong }), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task A_host_without_a_key_may_not_in()
    {
        await using var bench = await Secrets.StartAsync();
        Assert.Contains("no key is configured", await RefusalAsync(bench.HostOptions()), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task A_host_that_the_target_has_no_key_of_is_not_even_connected()
    {
        await using var bench = await Secrets.StartAsync();
        string why = await RefusalAsync(bench.HostOptions() with { HostNqn = "nqn.2014-08.org.example:stranger", Keys = Secrets.OneWay });
        Assert.Contains("ConnectInvalidHost", why, StringComparison.Ordinal);

    }

    [Fact]
    public async Task The_keys_of_other_hosts_are_for_every_host_without_its_own()
    {
        await using var bench = await Secrets.StartAsync();
        bench.Subsystem.Authentication = new DhChapPolicy { Others = Secrets.OneWay, Groups = [DhChapGroup.Null] };
        await using var host = await NvmeTcpHost.ConnectAsync(
            bench.HostOptions() with { HostNqn = "nqn.2014-08.org.example:stranger", Keys = Secrets.OneWay });
    }

    [Theory]
    [InlineData(true, "did not prove")]
    [InlineData(false, "it refused: AuthenticationFailed")]
    public async Task A_controller_without_the_right_key_is_not_trusted(bool hasKey, string why)
    {
        await using var bench = await Secrets.StartAsync(
            targetKeys: Secrets.OneWay with { Controller = hasKey ? DhChapKey.Generate(32, null, null) : null });
        Assert.Contains(why, await RefusalAsync(bench.HostOptions() with { Keys = Secrets.Both }), StringComparison.Ordinal);
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task A_controller_that_must_prove_itself_is_asked_to_though_it_asks_for_nothing()
    {
        await using var bench = await Bench.StartAsync();
        await Assert.ThrowsAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.Both }).AsTask());
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.OneWay });
    }

    [Theory]
    [InlineData(DhChapHash.Sha256, DhChapGroup.Null, "HashUnusable")]
    [InlineData(DhChapHash.Sha512, DhChapGroup.Ffdhe2048, "GroupUnusable")]
    public async Task Nothing_in_common_is_refused(DhChapHash hash, DhChapGroup group, string why)
    {
        await using var bench = await Secrets.StartAsync(DhChapHash.Sha512, DhChapGroup.Null);
        var options = bench.HostOptions() with { Keys = Secrets.OneWay, Hashes = [hash], Groups = [group] };
        Assert.Contains(why, await RefusalAsync(options), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keys_that_are_taken_away_let_nobody_in_and_stop_nobody()
    {
        await using var bench = await Secrets.StartAsync();
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = Secrets.OneWay });
        bench.Subsystem.Authentication = new DhChapPolicy { Hosts = new Dictionary<string, DhChapKeys> { ["nqn.a"] = Secrets.Both } };
        Assert.Equal([1u], await host.ListAsync());
        Assert.Contains(
            "ConnectInvalidHost", await RefusalAsync(bench.HostOptions() with { Keys = Secrets.OneWay }), StringComparison.Ordinal);
    }

    private static async Task<string> RefusalAsync(NvmeTcpHostOptions options)
        => (await Assert.ThrowsAsync<BlockException>(() => NvmeTcpHost.ConnectAsync(options).AsTask())).Message;
}
