using Paddock.Images.Text;
using Paddock.Nbd.Transport;

namespace Paddock.Images.Nodes;

/// <summary>TLS credentials among the objects of <c>--object</c>.</summary>
internal static class TlsObjects
{
    private const string Certificates = "tls-creds-x509", Keys = "tls-creds-psk", DefaultUser = "qemu";

    /// <summary>Finds the object with an id, and reads its certificates or keys.</summary>
    /// <exception cref="ToolException">No object has the ID, it is of another type, or its files cannot be read.</exception>
    public static TlsCredentials Load(IEnumerable<string> objects, string id, bool isServer)
    {
        var options = UserObjects.Find(objects, id) ?? throw new ToolException($"No TLS credentials with id '{id}'");
        string type = (string)options["qom-type"]!;
        if (type is not (Certificates or Keys))
        {
            throw new ToolException($"Object with id '{id}' is not TLS credentials");
        }

        bool isForServer = UserObjects.OneOf(options, "endpoint", "client", "client", "server") == "server";
        string folder = options["dir"] as string ?? throw new ToolException("Missing 'dir' property value");
        try
        {
            var credentials = type == Keys
                ? TlsCredentials.FromKeys(folder, isForServer ? null : options["username"] as string ?? DefaultUser)
                : LoadCertificates(options, folder, isForServer);
            if (isForServer == isServer)
            {
                return credentials;
            }

            credentials.Dispose();
        }
        catch (IOException e)
        {
            throw new ToolException(e.Message);
        }

        throw new ToolException($"Expected TLS credentials for a {(isServer ? "server" : "client")} endpoint");
    }

    private static TlsCredentials LoadCertificates(QDict options, string folder, bool isServer)
    {
        string[] needed = isServer ? ["ca-cert.pem", "server-cert.pem", "server-key.pem"] : ["ca-cert.pem"];
        foreach (string path in needed.Select(n => Path.Combine(folder, n)).Where(p => !File.Exists(p)))
        {
            throw new ToolException($"Unable to access credentials {path}: No such file or directory");
        }

        return TlsCredentials.FromFolder(
            folder, isServer, options["verify-peer"] switch
            {
                null => true,
                bool flag => flag,
                var text => Qcow2Options.Flag("verify-peer", text as string ?? ""),
            },
            othersMayRead: true);
    }
}
