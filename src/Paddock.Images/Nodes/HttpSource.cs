using System.Globalization;
using System.Net;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>A file at an HTTP server, and how to ask for it: the options of QEMU's curl driver.</summary>
internal sealed record HttpSource
{
    private const long DefaultReadAhead = 256 << 10, MaxReadAhead = 16 << 20;
    private const int MaxRedirects = 10, DefaultSeconds = 5, MaxHeaderKilobytes = 64;

    /// <summary>The address as it was given.</summary>
    public required string Url { get; init; }

    /// <summary>The address without a user name.</summary>
    public required Uri Address { get; init; }

    /// <summary>Bytes of a read that is made for a shorter one, which are kept.</summary>
    public int ReadAhead { get; private init; }

    /// <summary>Longest time without data.</summary>
    public TimeSpan Timeout { get; private init; }

    private bool VerifiesServer { get; init; }

    private string? Cookie { get; init; }

    private NetworkCredential? Credential { get; init; }

    /// <summary>Reads a node's options.</summary>
    /// <param name="options">The options; those used are taken out.</param>
    /// <param name="driver">Scheme that the address must have.</param>
    /// <param name="secret">Finds a secret by its id.</param>
    /// <exception cref="ToolException">An option is missing or invalid.</exception>
    public static HttpSource From(QDict options, string driver, Func<string, string> secret)
    {
        string url = options.Take("url") as string ?? throw new ToolException($"{driver} block driver requires an 'url' option");
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Host.Length == 0 || uri.Scheme != driver)
        {
            throw new ToolException($"{driver} curl driver cannot handle the URL '{url}' (does not start with '{driver}://')");
        }

        string[] user = uri.UserInfo.Split(':', 2);
        string name = options.Take("username") as string ?? Uri.UnescapeDataString(user[0]);
        string password = options.Take("password-secret") is string id ? secret(id)
            : user.Length == 2 ? Uri.UnescapeDataString(user[1]) : "";
        string? cookie = options.Take("cookie-secret") is string cookieId ? secret(cookieId) : options.Take("cookie") as string;
        return new HttpSource
        {
            Url = url,
            Address = new UriBuilder(uri) { UserName = "", Password = "", Fragment = "" }.Uri,
            ReadAhead = ReadAheadOf(Text(options.Take("readahead"))),
            Timeout = TimeSpan.FromSeconds(SecondsOf(Text(options.Take("timeout")))),
            VerifiesServer = options.Take("sslverify") switch
            {
                null => true,
                bool flag => flag,
                var text => Qcow2Options.Flag("sslverify", Text(text) ?? ""),
            },
            Cookie = cookie,
            Credential = name.Length > 0 ? new NetworkCredential(name, password) : null,
        };
    }

    /// <summary>Creates a client; its caller disposes it.</summary>
    public HttpClient CreateClient()
    {
        // a redirection to another host gets neither password nor cookies, one from https to http is not followed
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = true,
            MaxAutomaticRedirections = MaxRedirects,
            MaxResponseHeadersLength = MaxHeaderKilobytes,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = Timeout,
            PreAuthenticate = true,
            UseCookies = Cookie is not null,
        };
        if (Credential is not null)
        {
            handler.Credentials = new CredentialCache
            {
                { new Uri(Address, "/"), "Basic", Credential }, { new Uri(Address, "/"), "Digest", Credential },
            };
        }

        foreach (string part in (Cookie ?? "").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            AddCookie(handler.CookieContainer, part);
        }

        if (!VerifiesServer)
        {
#pragma warning disable CA5359 // the user has asked for it with sslverify=off
            handler.SslOptions.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        }

        return new HttpClient(handler) { Timeout = System.Threading.Timeout.InfiniteTimeSpan };
    }

    private void AddCookie(CookieContainer cookies, string part)
    {
        string[] pair = part.Split('=', 2);
        try
        {
            cookies.Add(new Cookie(pair[0], pair.Length == 2 ? pair[1] : "", "/", Address.Host));
        }
        catch (CookieException)
        {
            // cookies are secrets: the message has no part of them
            throw new ToolException(
                "cookie: expected NAME=VALUE; NAME=VALUE ... without commas in values, and names that do not begin with $");
        }
    }

    private static int ReadAheadOf(string? text)
    {
        ulong bytes = text is null ? (ulong)DefaultReadAhead : SizeParser.Option("readahead", text);
        return bytes % 512 != 0 ? throw new ToolException($"HTTP_READAHEAD {bytes} is not a multiple of 512")
            : bytes is 0 or > (ulong)MaxReadAhead
                ? throw new ToolException($"readahead={bytes}: expected 512 to {MaxReadAhead} bytes") : (int)bytes;
    }

    private static int SecondsOf(string? text)
        => text is null ? DefaultSeconds
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds is > 0 and <= 10000
                ? seconds : throw new ToolException("timeout parameter is too large or negative");

    private static string? Text(object? value) => value is null ? null : Convert.ToString(value, CultureInfo.InvariantCulture);
}
