using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>TLS with pre-shared keys, in both directions, and with QEMU's client and server.</summary>
public sealed class PskTests : IDisposable
{
    private const string AliceKey = "d117f3b7bbdc9c19433442562cec0fa996d5c89ea291a4296c99ebb9a225b0e1";

    private readonly string _root = Directory.CreateTempSubdirectory("nbdpsk-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Client_and_server_connect_with_a_shared_key()
    {
        var log = new List<string>();
        await using var server = Serve(log, out var target);
        using var alice = TlsCredentials.FromKeys(Folder($"alice:{AliceKey}"), "alice");
        await using (var client = await NbdClient.ConnectAsync(target with { Tls = alice }, Token))
        {
            byte[] data = new byte[3 << 20], got = new byte[3 << 20];
            new Random(6).NextBytes(data);
            await Task.WhenAll(Enumerable.Range(0, 48)
                .Select(i => client.WriteAsync(i * 65536, data.AsMemory(i * 65536, 65536)).AsTask()));
            await client.ReadAsync(0, got, Token);
            Assert.True(data.AsSpan().SequenceEqual(got));
        }

        await server.StopAsync();
        Assert.Empty(log);
    }

    [Theory]
    [InlineData("alice", "00" + AliceKey)]
    [InlineData("mallory", AliceKey)]
    public async Task Client_with_another_key_or_name_is_rejected(string name, string key)
    {
        var log = new List<string>();
        await using var server = Serve(log, out var target);
        using var wrong = TlsCredentials.FromKeys(Folder($"{name}:{key}"), name);
        var refused = await Assert.ThrowsAsync<BlockException>(
            async () => await NbdClient.ConnectAsync(target with { Tls = wrong }, Token));
        Assert.Equal("TLS handshake failed: The TLS connection was non-properly terminated.", refused.Message);
        await server.StopAsync();
        Assert.Equal(["option negotiation failed: TLS handshake failed: An illegal parameter has been received."], log);
    }

    [Fact]
    public async Task Qemu_connects_with_a_shared_key()
    {
        await using var server = Serve([], out var target);
        string folder = Folder($"alice:{AliceKey}");
        string[] node = ["--object", $"tls-creds-psk,id=t,dir={folder},endpoint=client,username=alice", "--image-opts"];
        string options = $"driver=nbd,host=127.0.0.1,port={target.Port},tls-creds=t";
        Assert.Contains("virtual size: 4 MiB", await Peer.MustAsync("qemu-img", ["info", .. node, options]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Client_connects_to_qemu_nbd_with_a_shared_key()
    {
        string image = Path.Combine(_root, "disk.raw"), folder = Folder($"bob:{AliceKey}");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], Token);
        var (listener, port) = Peer.Loopback();
        listener.Dispose();
        await using var server = await NbdProcess.StartAsync(
            "-t", "-b", "127.0.0.1", "-p", $"{port}", "-f", "raw",
            "--object", $"tls-creds-psk,id=t,dir={folder},endpoint=server", "--tls-creds", "t", image);
        using var bob = TlsCredentials.FromKeys(folder, "bob");
        await using var client = await NbdClient.ConnectAsync(
            new NbdTarget { Host = "127.0.0.1", Port = port, Tls = bob, OpenTimeout = TimeSpan.FromSeconds(10) }, Token);
        byte[] data = new byte[65536], got = new byte[65536];
        new Random(8).NextBytes(data);
        await client.WriteAsync(0, data, WriteFlags.Fua, Token);
        await client.ReadAsync(0, got, Token);
        Assert.Equal(data, got);
    }

    [Theory]
    [InlineData("alice", "line 1: expected USERNAME:KEY")]
    [InlineData(":00", "line 1: expected USERNAME:KEY")]
    [InlineData("alice:0g", "line 1: expected USERNAME:KEY")]
    [InlineData("# a comment\n\nalice:", "line 3: expected USERNAME:KEY")]
    [InlineData("bob:00", "Username alice not found in PSK file")]
    public void Invalid_key_file_is_rejected(string text, string message)
        => Assert.Contains(message, Assert.Throws<IOException>(() => TlsCredentials.FromKeys(Folder(text), "alice")).Message,
            StringComparison.Ordinal);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private NbdServer Serve(List<string> log, out NbdTarget target)
    {
        var options = new NbdServerOptions
        {
            Tls = TlsMode.Required, Credentials = TlsCredentials.FromKeys(Folder($"# keys\nalice:{AliceKey}\nbob:00ff\n"), null),
            Log = log.Add,
        };
        var server = new NbdServer(options, new NbdExport { Name = "", Device = Bench.Disk(4 << 20).Device });
        var (listener, port) = Peer.Loopback();
        server.Listen(listener);
        target = new NbdTarget { Host = "127.0.0.1", Port = port };
        return server;
    }

    private string Folder(string keys)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_root, Guid.NewGuid().ToString("N"))).FullName;
        File.WriteAllText(Path.Combine(folder, "keys.psk"), keys);
        return folder;
    }
}
