using Paddock.Images.Text;
using Paddock.Nbd.Transport;

namespace Paddock.Images.Nodes;

/// <summary>The objects that <c>--object</c> makes: TLS credentials by their id.</summary>
internal static class TlsObjects
{
    /// <summary>Finds the object with an id among those that were given, and reads its certificates.</summary>
    /// <exception cref="ToolException">There is none, it is of another kind, or its files cannot be read.</exception>
    public static TlsCredentials Load(IEnumerable<string> objects, string id, bool isServer)
    {
        foreach (string text in objects)
        {
            // the first word of an object is its type, with or without "qom-type="
            var options = KeyValueOptions.ParseToDict(text.StartsWith("qom-type=", StringComparison.Ordinal) ? text : "qom-type=" + text);
            if (options["id"] as string == id)
            {
                return Load(options, id, isServer);
            }
        }

        throw new ToolException($"No TLS credentials with id '{id}'");
    }

    private static TlsCredentials Load(QDict options, string id, bool isServer)
    {
        if (options["qom-type"] as string != "tls-creds-x509")
        {
            throw new ToolException($"Object with id '{id}' is not TLS credentials with certificates (tls-creds-x509)");
        }

        string endpoint = options["endpoint"] as string ?? "client";
        if (endpoint != (isServer ? "server" : "client"))
        {
            throw new ToolException($"Expecting TLS credentials with a {(isServer ? "server" : "client")} endpoint");
        }

        string folder = options["dir"] as string
            ?? throw new ToolException($"Object '{id}' needs the folder of its certificates: dir=PATH");
        try
        {
            return TlsCredentials.FromFolder(
                folder, isServer, options["verify-peer"] is not string verify || Qcow2Options.Flag("verify-peer", verify));
        }
        catch (IOException e)
        {
            throw new ToolException($"Unable to access credentials: {e.Message}");
        }
    }
}
