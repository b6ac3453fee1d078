using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Paddock.Testing.Protocols;

[assembly: AssemblyFixture(typeof(Paddock.Rbd.Tests.CephCluster))]

namespace Paddock.Rbd.Tests;

/// <summary>A cluster of one monitor and one OSD (tests/ceph/cluster), which all tests share. Each test has images of its own.</summary>
public sealed class CephCluster : IAsyncLifetime
{
    private static int _images;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-ceph-").FullName;

    private static string Script => Path.Combine(Root(), "tests", "ceph", "cluster");

    /// <summary>The configuration file.</summary>
    public string Configuration => Path.Combine(_folder, "ceph.conf");

    /// <summary>The key of client.paddock.</summary>
    public string Keyring => Path.Combine(_folder, "paddock.keyring");

    /// <summary>What a name ends with to reach the cluster, as client.paddock.</summary>
    public string Suffix => $":id=paddock:conf={Configuration}";

    /// <summary>A name that no image has yet.</summary>
    public static string NewImage() => string.Create(CultureInfo.InvariantCulture, $"image{Interlocked.Increment(ref _images)}");

    /// <summary>The full name of an image.</summary>
    public string NameOf(string image) => $"rbd:rbd/{image}{Suffix}";

    /// <summary>The target of an image.</summary>
    internal RbdTarget TargetOf(string image) => RbdTarget.Parse(NameOf(image));

    /// <summary>Creates an image, and opens it for writing.</summary>
    internal async Task<RbdStorage> CreateAsync(long length, bool caches = true, long? objectSize = null)
    {
        var target = TargetOf(NewImage());
        await RbdImage.CreateAsync(target, length, objectSize);
        return new RbdStorage(await RbdImage.OpenAsync(target, readOnly: false, caches));
    }

    /// <summary>Creates an image.</summary>
    internal async Task<RbdTarget> NewAsync(long length = 8 << 20)
    {
        var target = TargetOf(NewImage());
        await RbdImage.CreateAsync(target, length);
        return target;
    }

    /// <summary>Breaks the exclusive lock of an image by hand.</summary>
    /// <param name="image">Name of the image.</param>
    /// <param name="isBlocklisted">Whether the client that holds it is put on the blocklist.</param>
    /// <returns>The address of that client.</returns>
    public async Task<string> BreakLockAsync(string image, bool isBlocklisted)
    {
        var holder = JsonDocument.Parse(await RbdAsync("lock", "ls", "--format", "json", "rbd/" + image)).RootElement[0];
        string id = holder.GetProperty("id").GetString()!, client = holder.GetProperty("locker").GetString()!;
        if (isBlocklisted)
        {
            await RbdAsync("lock", "rm", "rbd/" + image, id, client);
        }
        else
        {
            string prefix = JsonDocument.Parse(await RbdAsync("info", "--format", "json", "rbd/" + image)).RootElement
                .GetProperty("id").GetString()!;
            await RadosAsync("lock", "break", "rbd_header." + prefix, "rbd_lock", client, "--lock-cookie", id);
        }

        return holder.GetProperty("address").GetString()!;
    }

    public async ValueTask InitializeAsync()
    {
        // the folder ends with this process even if that is killed
        string owner = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        await MustRunAsync("start", _folder, "1", owner);
        Environment.SetEnvironmentVariable("CEPH_CONF", Configuration);
    }

    public async ValueTask DisposeAsync() => await MustRunAsync("stop", _folder);

    /// <summary>Runs Ceph's <c>rbd</c> as client.paddock.</summary>
    public Task<string> RbdAsync(params string[] words) => Peer.MustAsync("rbd", ["--id", "paddock", "-c", Configuration, .. words]);

    /// <summary>Runs <c>rados</c> on the pool, as client.admin.</summary>
    public Task<string> RadosAsync(params string[] words) => Peer.MustAsync("rados", ["-c", Configuration, "-p", "rbd", .. words]);

    /// <summary>Runs <c>ceph</c> as client.admin.</summary>
    public Task<string> CephAsync(params string[] words)
        => Peer.MustAsync("ceph", ["-c", Configuration, "--connect-timeout", "20", .. words]);

    /// <summary>Starts a daemon again that was killed.</summary>
    /// <param name="daemon"><c>mon</c> or <c>osd</c>.</param>
    public Task RestartAsync(string daemon)
        => daemon == "mon" ? MustRunAsync("mon", _folder) : MustRunAsync("osd", _folder, "0");

    /// <summary>Sends a signal to a daemon.</summary>
    /// <param name="daemon"><c>mon.a</c> or <c>osd.0</c>.</param>
    /// <param name="signal">Its name: KILL, STOP, CONT.</param>
    public async Task SignalAsync(string daemon, string signal)
    {
        string number = (await File.ReadAllTextAsync(Path.Combine(_folder, "run", daemon + ".pid"))).Trim();
        await Peer.MustAsync("kill", "-" + signal, number);
        if (signal == "KILL")
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            while (Directory.Exists("/proc/" + number))
            {
                await Task.Delay(20, limit.Token);
            }
        }
    }

    private static async Task MustRunAsync(params string[] words)
    {
        var start = new ProcessStartInfo(Script, words) { RedirectStandardError = true };
        start.Environment.Remove("CEPH_CONF");
        using var process = Process.Start(start)!;
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"tests/ceph/cluster {string.Join(' ', words)}: {process.ExitCode}\n{error}");
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Paddock.slnx")))
        {
            folder = folder.Parent ?? throw new DirectoryNotFoundException("the tests run outside the repository");
        }

        return folder.FullName;
    }
}
