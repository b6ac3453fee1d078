using Paddock.Nbd.Transport;

namespace Paddock.Testing.Protocols.Nbd;

/// <summary>An authority, a server, a client, a client without a certificate, and a client of another authority.</summary>
public sealed class TlsCertificates : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("nbdtls-").FullName;

    public TlsCertificates()
    {
        foreach (string folder in new[] { "server", "client", "nobody", "stranger" })
        {
            Directory.CreateDirectory(Folder(folder));
        }

        Authority("ca", "client");
        Sign("ca", "client", "server", "server", "cn = localhost\ndns_name = localhost\nip_address = 127.0.0.1\ntls_www_server\n");
        Sign("ca", "client", "client", "client", "cn = a client\ntls_www_client\n");
        Authority("other", "stranger");
        Sign("other", "stranger", "stranger", "client", "cn = a stranger\ntls_www_client\n");
        foreach (string folder in new[] { "server", "nobody" })
        {
            File.Copy(Path.Combine(Folder("client"), "ca-cert.pem"), Path.Combine(Folder(folder), "ca-cert.pem"));
        }

        Server = TlsCredentials.FromFolder(Folder("server"), isServer: true);
        Client = TlsCredentials.FromFolder(Folder("client"), isServer: false);
    }

    public string Root => _root;

    public TlsCredentials Server { get; }

    public TlsCredentials Client { get; }

    public string Folder(string name) => Path.Combine(_root, name);

    public void Dispose()
    {
        Server.Dispose();
        Client.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private void Authority(string name, string folder)
    {
        Key(Path.Combine(_root, name + "-key.pem"));
        string template = Template("cn = an authority " + name + "\nca\ncert_signing_key\n");
        Run("--generate-self-signed", "--load-privkey", Path.Combine(_root, name + "-key.pem"), "--template", template,
            "--outfile", Path.Combine(Folder(folder), "ca-cert.pem"));
    }

    private void Sign(string authority, string authorityFolder, string folder, string who, string template)
    {
        string key = Path.Combine(Folder(folder), who + "-key.pem");
        Key(key);
        Run("--generate-certificate", "--load-ca-certificate", Path.Combine(Folder(authorityFolder), "ca-cert.pem"),
            "--load-ca-privkey", Path.Combine(_root, authority + "-key.pem"), "--load-privkey", key,
            "--template", Template(template + "encryption_key\nsigning_key\n"), "--outfile",
            Path.Combine(Folder(folder), who + "-cert.pem"));
    }

    private static void Key(string file) => Run("--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", file);

    private string Template(string text)
    {
        string file = Path.Combine(_root, "template");
        File.WriteAllText(file, text + "expiration_days = 30\n");
        return file;
    }

    private static void Run(params string[] words) => Peer.MustAsync("certtool", words).GetAwaiter().GetResult();
}
