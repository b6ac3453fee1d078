using Paddock.Nvme;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Keys for the tests, and a server that requires them.</summary>
internal static class Secrets
{
    public const string RawHostNqn = "nqn.2014-08.org.example:raw";

    public static DhChapKeys Both { get; } = new(DhChapKey.Generate(48, DhChapHash.Sha384, null), DhChapKey.Generate(32, null, null));

    public static DhChapKeys OneWay { get; } = Both with { Controller = null };

    public static async Task<Bench> StartAsync(
        DhChapHash hash = DhChapHash.Sha256, DhChapGroup group = DhChapGroup.Null, DhChapKeys? targetKeys = null,
        NvmeTargetOptions? options = null)
    {
        var bench = await Bench.StartAsync(options: options);
        bench.Subsystem.Authentication = new DhChapPolicy
        {
            Hosts = new Dictionary<string,
                DhChapKeys> { [bench.HostOptions().HostNqn] = targetKeys ?? Both, [RawHostNqn] = targetKeys ?? Both },
            Hashes = [hash],
            Groups = [group],
        };
        return bench;
    }

    /// <summary>Checks that the server still serves the existing host and accepts a new one.</summary>
    public static async Task WorksAsync(Bench bench)
    {
        await bench.Zoned.Zones!.AppendAsync(0, new byte[4096]).AsTask().WaitAsync(TimeSpan.FromSeconds(20));
        var keys = bench.Subsystem.Authentication!.Find(bench.HostOptions().HostNqn)!;
        await using var host = await NvmeTcpHost.ConnectAsync(bench.HostOptions() with { Keys = keys });
    }
}
