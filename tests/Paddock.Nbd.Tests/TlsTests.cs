using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>TLS with certificates made by certtool, in both directions, and with other clients and servers.</summary>
public sealed class TlsTests(TlsCertificates made) : IClassFixture<TlsCertificates>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Client_and_server_connect_over_TLS()
    {
        var (server, target) = Serve(TlsMode.Required);
        await using var _ = server;
        await using var client = await NbdClient.ConnectAsync(target with { Tls = made.Client }, Token);
        byte[] data = new byte[3 << 20], got = new byte[3 << 20];
        new Random(6).NextBytes(data);
        await Task.WhenAll(Enumerable.Range(0, 48).Select(i => client.WriteAsync(i * 65536, data.AsMemory(i * 65536, 65536)).AsTask()));
        await client.ReadAsync(0, got, Token);
        Assert.True(data.AsSpan().SequenceEqual(got));
    }

    [Fact]
    public async Task Client_with_no_certificate_or_a_foreign_one_is_rejected()
    {
        var (server, target) = Serve(TlsMode.Required);
        await using var _ = server;
        using var nobody = TlsCredentials.FromFolder(made.Folder("nobody"), isServer: false);
        using var stranger = TlsCredentials.FromFolder(made.Folder("stranger"), isServer: false, verifyPeer: false);
        await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = nobody }));
        await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = stranger }));
        var plain = await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target));
        Assert.Contains("TLS negotiation required before option 7 (go)", plain.Message, StringComparison.Ordinal);
        await UseAsync(target with { Tls = made.Client });
    }

    [Fact]
    public async Task Server_with_another_name_or_authority_is_rejected()
    {
        var (server, target) = Serve(TlsMode.Required);
        await using var _ = server;
        using var stranger = TlsCredentials.FromFolder(made.Folder("stranger"), isServer: false);
        await Assert.ThrowsAsync<BlockException>(
            async () => await UseAsync(target with { Tls = made.Client, TlsHostname = "elsewhere.example" }));
        await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = stranger }));
    }

    [Fact]
    public async Task Clients_with_and_without_TLS_are_served_if_TLS_is_optional()
    {
        var (server, target) = Serve(TlsMode.Allowed);
        await using var _ = server;
        await UseAsync(target);
        await UseAsync(target with { Tls = made.Client });
    }

    [Fact]
    public async Task Other_clients_connect_over_TLS()
    {
        var (server, target) = Serve(TlsMode.Required);
        await using var _ = server;
        string uri = $"nbds://localhost:{target.Port}/?tls-certificates={made.Folder("client")}";
        Assert.Contains("with TLS", await Peer.MustAsync("nbdinfo", uri), StringComparison.Ordinal);
        string[] node = ["--object", $"tls-creds-x509,id=t,dir={made.Folder("client")},endpoint=client", "--image-opts"];
        string options = $"driver=nbd,host=localhost,port={target.Port},tls-creds=t";
        Assert.Contains("virtual size: 4 MiB", await Peer.MustAsync("qemu-img", ["info", .. node, options]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Client_connects_to_qemu_nbd_over_TLS()
    {
        string image = Path.Combine(made.Root, "disk.raw");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], Token);
        var (listener, port) = Peer.Loopback();
        listener.Dispose();
        await using var server = await NbdProcess.StartAsync(
            "-t", "-b", "127.0.0.1", "-p", $"{port}", "-f", "raw",
            "--object", $"tls-creds-x509,id=t,dir={made.Folder("server")},endpoint=server,verify-peer=yes", "--tls-creds", "t", image);
        var target = new NbdTarget { Host = "localhost", Port = port, Tls = made.Client, OpenTimeout = TimeSpan.FromSeconds(10) };
        await UseAsync(target);
    }

    [Fact]
    public async Task Nbds_uri_names_its_certificates()
    {
        var (server, target) = Serve(TlsMode.Required);
        await using var _ = server;
        string name = $"nbds://localhost:{target.Port}/?tls-certificates={Uri.EscapeDataString(made.Folder("client"))}";
        await UseAsync(NbdTarget.Parse(name)!);
        var other = await Assert.ThrowsAsync<BlockException>(
            async () => await UseAsync(NbdTarget.Parse(name + "&tls-hostname=elsewhere.example")!));
        Assert.EndsWith("Certificate does not match the hostname elsewhere.example", other.Message, StringComparison.Ordinal);
        await UseAsync(NbdTarget.Parse(name + "&tls-hostname=elsewhere.example&tls-verify-peer=false")!);

        // without certificates the system's authorities apply, which do not include ours
        await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(NbdTarget.Parse($"nbds://localhost:{target.Port}/")!));
    }

    [Fact]
    public void Nbds_uris_are_parsed_or_rejected()
    {
        var parsed = NbdTarget.Parse("nbds+unix:///a%20b?socket=/tmp/a%26b&tls-verify-peer=false")!;
        Assert.Equal(("/tmp/a&b", "a b", false), (parsed.SocketPath, parsed.ExportName, parsed.Tls!.VerifyPeer));
        Assert.Equal((10809, "h", ""),
            (NbdTarget.Parse("nbds://h")!.Port, NbdTarget.Parse("nbds://h")!.Host, NbdTarget.Parse("nbds://h")!.ExportName));
        foreach (string wrong in new[] { "nbds://", "nbds+unix:///e", "nbds://h/?tls-psk-file=x", "nbds://h/?tls-verify-peer=maybe",
            "nbd://h/?tls-hostname=x" })
        {
            Assert.Throws<FormatException>(() => NbdTarget.Parse(wrong));
        }
    }

    [Fact]
    public async Task Addresses_in_a_certificate_are_never_contacted()
    {
        var (issuers, port) = Peer.Loopback();
        using var _ = issuers;
        using var server = TlsCredentials.FromFolder(Unvouched("aia-server", "server", port), isServer: true, verifyPeer: false);
        using var client = TlsCredentials.FromFolder(Unvouched("aia-client", "client", port), isServer: false, verifyPeer: false);
        await using (var open = new NbdServer(
            new NbdServerOptions { Tls = TlsMode.Required, Credentials = server },
            new NbdExport { Name = "", Device = Bench.Disk().Device }))
        {
            // the handshake completes with verification off on both sides; then each side rejects the other
            var target = Listen(open);
            await UseAsync(target with { Tls = client });
            await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = made.Client }));
        }

        var (strict, strictTarget) = Serve(TlsMode.Required);
        await using (strict)
        {
            await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(strictTarget with { Tls = client }));
        }

        Assert.Equal(1, strict.Refused);
        Assert.False(issuers.Poll(0, System.Net.Sockets.SelectMode.SelectRead), "somebody connected to the address in the certificate");
    }

    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.GroupRead)]
    public void Private_key_accessible_to_others_is_rejected(UnixFileMode mode)
    {
        foreach (bool isServer in new[] { true, false })
        {
            string who = isServer ? "server" : "client", folder = made.Folder($"open-{who}-{(int)mode}");
            Directory.CreateDirectory(folder);
            foreach (string file in Directory.GetFiles(made.Folder(who)))
            {
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            }

            string key = Path.Combine(folder, who + "-key.pem");
            Restrict(key, mode);
            var refused = Assert.Throws<IOException>(() => TlsCredentials.FromFolder(folder, isServer));
            Assert.Contains(key, refused.Message, StringComparison.Ordinal);
            Assert.Contains("chmod 600", refused.Message, StringComparison.Ordinal);
            Restrict(key, UnixFileMode.UserRead);
            TlsCredentials.FromFolder(folder, isServer).Dispose();
        }
    }

    [Fact]
    public async Task Revoked_certificate_is_rejected()
    {
        string folder = made.Folder("with-list"), template = made.Folder("list-template");
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(made.Folder("server")))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }

        // beside an authority whose key cannot verify the list's signature
        string authorities = Path.Combine(folder, "ca-cert.pem"), list = Path.Combine(folder, "ca-crl.pem");
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var other = new CertificateRequest("CN=another authority", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        await File.WriteAllTextAsync(
            authorities, other.ExportCertificatePem() + "\n" + await File.ReadAllTextAsync(authorities, Token), Token);
        await File.WriteAllTextAsync(template, "expiration_days = 30\ncrl_number = 5\n", Token);
        await Peer.MustAsync("certtool", "--generate-crl", "--load-ca-privkey", made.Folder("ca-key.pem"),
            "--load-ca-certificate", Path.Combine(made.Folder("client"), "ca-cert.pem"),
            "--load-certificate", Path.Combine(made.Folder("client"), "client-cert.pem"), "--template", template, "--outfile", list);
        var log = new List<string>();
        using (var credentials = TlsCredentials.FromFolder(folder, isServer: true))
        {
            var options = new NbdServerOptions { Tls = TlsMode.Required, Credentials = credentials, Log = log.Add };
            await using var server = new NbdServer(options, new NbdExport { Name = "", Device = Bench.Disk(4 << 20).Device });
            var target = Listen(server);
            await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = made.Client }));
            await server.StopAsync();
            Assert.Equal(["option negotiation failed: The certificate has been revoked"], log);
        }

        await File.WriteAllTextAsync(list, "no list", Token);
        Assert.Contains("ca-crl.pem", Assert.Throws<IOException>(() => TlsCredentials.FromFolder(folder, isServer: true)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_authorized_names_are_served()
    {
        var asked = new List<string>();
        bool isAllowed = true;
        var options = new NbdServerOptions
        {
            Tls = TlsMode.Required, Credentials = made.Server,
            Authorize = name =>
            {
                asked.Add(name);
                return isAllowed;
            },
        };
        await using var server = new NbdServer(options, new NbdExport { Name = "", Device = Bench.Disk(4 << 20).Device });
        var target = Listen(server);
        await UseAsync(target with { Tls = made.Client });
        isAllowed = false;
        await Assert.ThrowsAsync<BlockException>(async () => await UseAsync(target with { Tls = made.Client }));
        await server.StopAsync();
        Assert.Equal(["CN=a client", "CN=a client"], asked);
    }

    // a certificate of an unknown authority, with the address (AIA) of that authority's own certificate
    private string Unvouched(string folder, string who, int port)
    {
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var authority = new CertificateRequest("CN=unknown", authorityKey, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(9));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        string[] uris = [$"http://127.0.0.1:{port}/"];
        request.CertificateExtensions.Add(new X509AuthorityInformationAccessExtension(uris, uris));
        using var certificate = request.Create(
            authority.SubjectName, X509SignatureGenerator.CreateForECDsa(authorityKey), DateTimeOffset.UtcNow.AddDays(-1),
            DateTimeOffset.UtcNow.AddDays(8), [7]);
        string at = made.Folder(folder), keyFile = Path.Combine(at, who + "-key.pem");
        Directory.CreateDirectory(at);
        File.WriteAllText(Path.Combine(at, who + "-cert.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        Restrict(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return at;
    }

    private static void Restrict(string file, UnixFileMode mode)
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, mode);
        }
    }

    private static NbdTarget Listen(NbdServer server)
    {
        var (listener, port) = Peer.Loopback();
        server.Listen(listener);
        return new NbdTarget { Host = "localhost", Port = port };
    }

    private static async Task UseAsync(NbdTarget target)
    {
        await using var client = await NbdClient.ConnectAsync(target, Token);
        byte[] got = new byte[4];
        await client.WriteAsync(512, new byte[] { 1, 2, 3, 4 }, WriteFlags.Fua, Token);
        await client.ReadAsync(512, got, Token);
        Assert.Equal([1, 2, 3, 4], got);
    }

    private (NbdServer Server, NbdTarget Target) Serve(TlsMode mode)
    {
        var options = new NbdServerOptions { Tls = mode, Credentials = made.Server };
        var server = new NbdServer(options, new NbdExport { Name = "", Device = Bench.Disk(4 << 20).Device });
        return (server, Listen(server));
    }
}
