using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>Images at an HTTP server.</summary>
public sealed class HttpTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("http-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public async Task Image_at_a_server_is_converted(string format)
    {
        byte[] data = new byte[(3 << 20) + 512];
        new Random(3).NextBytes(data.AsSpan(1 << 20));
        await File.WriteAllBytesAsync(At("in.raw"), data, Token);
        await Peer.MustAsync("qemu-img", "convert", "-O", format, At("in.raw"), At("served"));
        using var server = new Server(await File.ReadAllBytesAsync(At("served"), Token));
        await Ours.ImgAsync("convert", "-f", format, "-O", "raw", server.Url, At("out.raw"));
        Assert.Equal(data, await File.ReadAllBytesAsync(At("out.raw"), Token));
        Assert.Contains($"file format: {format}", await Ours.ImgAsync("info", server.Url), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redirection_is_followed_without_password_and_cookies()
    {
        using var server = new Server(new byte[1 << 20]);
        using var first = new Server([]) { Location = server.Url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal) };
        string options = $"driver=raw,file.driver=http,file.url={first.Url.Replace("//", "//user:word@", StringComparison.Ordinal)},"
            + "file.cookie=a=b,file.readahead=1M,file.timeout=30";
        await Ours.ImgAsync("convert", "--image-opts", "-O", "raw", options, At("out.raw"));
        Assert.Contains("Cookie: a=b", first.Requests, StringComparison.Ordinal);
        Assert.DoesNotContain("a=b", server.Requests, StringComparison.Ordinal);
        Assert.DoesNotContain("Authorization", server.Requests, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("=hidden")]
    [InlineData("$hidden=1")]
    [InlineData("a=b; c=hidden,2")]
    public async Task Invalid_cookie_is_rejected_without_being_printed(string cookie)
    {
        var refused = await Ours.RunImgAsync(
            "info", "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"http\",\"url\":\"http://127.0.0.1:1/x\",\"cookie-secret\":\"s\"}}",
            "--object", $"secret,id=s,data={cookie.Replace(",", ",,", StringComparison.Ordinal)}");
        Assert.Contains("expected NAME=VALUE", refused.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("hidden", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task User_of_the_address_is_presented_on_request()
    {
        using var server = new Server(new byte[1 << 20]) { User = "user:word" };
        await Ours.ImgAsync("convert", "-f", "raw", "-O", "raw",
            server.Url.Replace("//", "//user:word@", StringComparison.Ordinal), At("out.raw"));
        var refused = await Ours.RunImgAsync("convert", "-f", "raw", "-O", "raw", server.Url, At("out.raw"));
        Assert.Contains("The requested URL returned error: 401", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_without_ranges_is_rejected()
    {
        using var server = new Server(new byte[1 << 20]) { HasRanges = false };
        var run = await Ours.RunImgAsync("info", "-f", "raw", server.Url);
        Assert.Contains("Server does not support 'range' (byte ranges).", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task File_that_changes_while_it_is_read_ends_the_copy()
    {
        using var server = new Server(new byte[4 << 20]) { ChangesAfter = 2 };
        var run = await Ours.RunImgAsync("convert", "-f", "raw", "-O", "raw", server.Url, At("out.raw"));
        Assert.Equal(1, run.Code);
        Assert.Contains("error while reading at byte", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Endless_redirections_are_not_followed()
    {
        using var server = new Server([]) { LoopsForEver = true };
        Assert.Equal(1, (await Ours.RunImgAsync("info", "-f", "raw", server.Url)).Code);
    }

    [Fact]
    public async Task Address_in_an_image_is_never_contacted()
    {
        using var server = new Server(new byte[1 << 20]);
        await Peer.MustAsync("qemu-img", "create", "-u", "-f", "qcow2", "-b", server.Url, "-F", "raw", At("a.qcow2"), "1M");
        var run = await Ours.RunImgAsync("convert", "-O", "raw", At("a.qcow2"), At("out.raw"));
        Assert.Equal(1, run.Code);
        Assert.Equal("", server.Requests);
    }

    [Theory]
    [InlineData("http://h/x,file.readahead=1000", "HTTP_READAHEAD 1000 is not a multiple of 512")]
    [InlineData("http://h/x,file.timeout=-1", "timeout parameter is too large or negative")]
    [InlineData("ftp://h/x", "http curl driver cannot handle the URL 'ftp://h/x' (does not start with 'http://')")]
    public async Task Invalid_option_is_rejected(string url, string message)
    {
        var run = await Ours.RunImgAsync("info", "--image-opts", "driver=raw,file.driver=http,file.url=" + url);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>A server with one file.</summary>
    private sealed class Server : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly StringBuilder _requests = new();
        private readonly byte[] _file;
        private int _count;

        public Server(byte[] file)
        {
            _file = file;
            _listener.Start();
            _ = AcceptAsync();
        }

        public string Url => $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/file";

        public string? Location { get; init; }

        public string? User { get; init; }

        public bool HasRanges { get; init; } = true;

        public bool LoopsForEver { get; init; }

        public int ChangesAfter { get; init; } = int.MaxValue;

        public string Requests
        {
            get
            {
                lock (_requests)
                {
                    return _requests.ToString();
                }
            }
        }

        public void Dispose() => _listener.Dispose();

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    _ = ServeAsync(await _listener.AcceptTcpClientAsync());
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // closed
            }
        }

        private async Task ServeAsync(TcpClient client)
        {
            using var owned = client;
            using var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
            try
            {
                while (await HeadAsync(reader) is { } head)
                {
                    await AnswerAsync(client.GetStream(), head);
                }
            }
            catch (IOException)
            {
                // the client has disconnected
            }
        }

        private async Task<string?> HeadAsync(StreamReader reader)
        {
            var head = new StringBuilder();
            while (await reader.ReadLineAsync() is { } line)
            {
                if (line.Length == 0)
                {
                    lock (_requests)
                    {
                        _requests.Append(head);
                    }

                    return head.ToString();
                }

                head.Append(line).Append('\n');
            }

            return null;
        }

        private async Task AnswerAsync(Stream stream, string head)
        {
            string? location = LoopsForEver ? Url : Location;
            bool knows = User is null
                || head.Contains("Basic " + Convert.ToBase64String(Encoding.ASCII.GetBytes(User)), StringComparison.Ordinal);
            string range = head.Split('\n').First(l => l.StartsWith("Range: bytes=", StringComparison.Ordinal))["Range: bytes=".Length..];
            int from = int.Parse(range.Split('-')[0], CultureInfo.InvariantCulture);
            int to = Math.Min(int.Parse(range.Split('-')[1], CultureInfo.InvariantCulture), _file.Length - 1);
            byte[] body = location is not null || !knows ? [] : HasRanges ? _file[from..(to + 1)] : _file;
            string tag = Interlocked.Increment(ref _count) > ChangesAfter ? "new" : "old";
            string status = location is not null ? $"302 Found\r\nLocation: {location}"
                : !knows ? "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\""
                : HasRanges ? $"206 Partial Content\r\nContent-Range: bytes {from}-{to}/{_file.Length}\r\nETag: \"{tag}\"" : "200 OK";
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Length: {body.Length}\r\n\r\n"));
            await stream.WriteAsync(body);
        }
    }
}
