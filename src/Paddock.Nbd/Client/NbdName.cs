using System.Net;
using Paddock.Nbd.Transport;

namespace Paddock.Nbd.Client;

/// <summary>
/// Export names: <c>nbd://HOST:PORT/EXPORT</c> and <c>nbd+unix:///EXPORT?socket=PATH</c>, with <c>nbds</c> for TLS, and the older
/// <c>nbd:HOST:PORT:exportname=NAME</c> and <c>nbd:unix:PATH:exportname=NAME</c>.
/// </summary>
internal static class NbdName
{
    private const string UnixForm = "nbd+unix:///EXPORT?socket=PATH";
    private const string TcpForm = "nbd://HOST:PORT/EXPORT";
    private const string Socket = "socket", Folder = NbdTarget.CertificatesKey, Hostname = "tls-hostname", Verify = "tls-verify-peer";

    /// <summary>Whether a name has the prefix of an export name, valid or not.</summary>
    public static bool IsOne(string name) => SchemeOf(name) is "nbd" or "nbd+tcp" or "nbd+unix" or "nbds" or "nbds+tcp" or "nbds+unix";

    /// <exception cref="FormatException">The name is incomplete or invalid.</exception>
    /// <exception cref="IOException">The certificates cannot be read.</exception>
    public static NbdTarget Parse(string name)
        => SchemeOf(name) == "nbd" && !name.StartsWith("nbd://", StringComparison.Ordinal) ? ParseOld(name[4..]) : ParseUri(name);

    private static string SchemeOf(string name) => name.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon ? name[..colon] : "";

    private static NbdTarget ParseUri(string name)
    {
        // an empty path is optional
        if (!Uri.TryCreate(name.Replace("://?", ":///?", StringComparison.Ordinal), UriKind.Absolute, out var uri))
        {
            throw new FormatException($"'{name}' is not an NBD address");
        }

        bool isTls = uri.Scheme.StartsWith("nbds", StringComparison.Ordinal),
            isUnix = uri.Scheme.EndsWith("+unix", StringComparison.Ordinal);
        string form = isUnix ? UnixForm : TcpForm;
        var asked = Query(uri, isTls ? [Folder, Hostname, Verify] : [], isUnix, form);
        string path = uri.AbsolutePath;
        var target = new NbdTarget
        {
            ExportName = Uri.UnescapeDataString(path.Length > 0 && path[0] == '/' ? path[1..] : path),
            Tls = isTls ? Credentials(asked) : null,
            HasSecureName = isTls,
            TlsHostname = asked.GetValueOrDefault(Hostname),
        };
        if (isUnix)
        {
            return uri.Host.Length == 0 && asked.TryGetValue(Socket, out string? socket) && socket.Length > 0
                ? target with { SocketPath = socket } : throw new FormatException("an NBD address with a Unix socket is " + form);
        }

        return uri.Host.Length > 0
            ? target with { Host = uri.Host.Trim('[', ']'), Port = uri.Port < 0 ? NbdTarget.DefaultPort : uri.Port }
            : throw new FormatException("an NBD address is " + form);
    }

    private static Dictionary<string, string> Query(Uri uri, string[] known, bool isUnix, string form)
    {
        var found = new Dictionary<string, string>();
        string query = uri.Query.TrimStart('?');

        // QEMU treats everything after "socket=" as the path if there is no other parameter
        if (isUnix && query.StartsWith(Socket + "=", StringComparison.Ordinal) && known.Length == 0)
        {
            found.Add(Socket, Uri.UnescapeDataString(query[(Socket.Length + 1)..]));
            return found;
        }

        foreach (string part in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = part.Split('=', 2);
            bool isKnown = known.Contains(pair[0]) || (isUnix && pair[0] == Socket);
            if (!isKnown || pair.Length != 2 || !found.TryAdd(pair[0], Uri.UnescapeDataString(pair[1])))
            {
                throw new FormatException(
                    $"'{part}' in an NBD address: the address is {form}"
                    + (known.Length > 0 ? $", with {string.Join(", ", known)} behind the question mark" : ""));
            }
        }

        return found;
    }

    private static TlsCredentials Credentials(Dictionary<string, string> asked)
    {
        bool verify = asked.GetValueOrDefault(Verify, "true") switch
        {
            "true" or "1" => true,
            "false" or "0" => false,
            string other => throw new FormatException($"{Verify}={other} in an NBD address: expected true or false"),
        };
        return asked.TryGetValue(Folder, out string? folder)
            ? TlsCredentials.FromFolder(folder, isServer: false, verify) : new TlsCredentials { VerifyPeer = verify };
    }

    private static NbdTarget ParseOld(string rest)
    {
        const string exportMark = ":exportname=";
        string export = "";
        int at = rest.IndexOf(exportMark, StringComparison.Ordinal);
        if (at >= 0)
        {
            (rest, export) = (rest[..at], rest[(at + exportMark.Length)..]);
        }

        if (rest.StartsWith("unix:", StringComparison.Ordinal))
        {
            return new NbdTarget { SocketPath = rest[5..], ExportName = export };
        }

        int colon = rest.LastIndexOf(':');
        return colon > 0 && int.TryParse(rest[(colon + 1)..], out int port) && port is > 0 and <= IPEndPoint.MaxPort
            ? new NbdTarget { Host = rest[..colon].Trim('[', ']'), Port = port, ExportName = export }
            : throw new FormatException("an NBD name is nbd:HOST:PORT or nbd:unix:PATH, and may end with :exportname=NAME");
    }
}
