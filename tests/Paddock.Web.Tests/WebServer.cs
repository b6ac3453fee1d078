using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Qcow2;
using Paddock.Server;
using Paddock.Server.Control;
using Paddock.Testing.Protocols;

namespace Paddock.Web.Tests;

/// <summary>A server with its web part in this process, in a folder of its own.</summary>
internal sealed class WebServer : IAsyncDisposable
{
    public const string Token = "a-token-for-the-tests";

    private readonly StringWriter _log;
    private readonly ServeSettings _settings;

    private WebServer(PaddockServer server, ServeSettings settings, StringWriter log, string folder)
    {
        Server = server;
        Folder = folder;
        _settings = settings;
        _log = log;
        Client = new HttpClient { BaseAddress = new Uri($"http://{server.WebAddress}/") };
    }

    public PaddockServer Server { get; }

    public HttpClient Client { get; }

    public string Folder { get; }

    public string Log => _log.ToString();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Serves one image by NVMe/TCP, with the page, metrics and a control socket.</summary>
    /// <param name="zones">Number of zones; of a plain image, its size in MiB.</param>
    /// <param name="zoneSize">Size of a zone in bytes; 0: a plain image.</param>
    /// <param name="control">Whether clients with <see cref="Token"/> may change zones.</param>
    /// <param name="with">Modifies the settings.</param>
    /// <param name="maxOpen">Maximum number of open zones; 0: no limit.</param>
    /// <param name="before">Runs before the server starts, with the name of the image.</param>
    public static async Task<WebServer> StartAsync(
        int zones = 16, long zoneSize = 1 << 20, bool control = false, Func<ServeSettings, ServeSettings>? with = null, uint maxOpen = 0,
        Func<string, Task>? before = null)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-web-").FullName;
        string image = Path.Combine(folder, "disk.qcow2"), token = Path.Combine(folder, "token");
        var zoned = zoneSize == 0 ? null : new ZonedCreateOptions { ZoneSize = zoneSize, MaxOpenZones = maxOpen };
        await ImageFile.CreateAsync(image, zones * (zoneSize == 0 ? 1 << 20 : zoneSize), zoned);
        await File.WriteAllTextAsync(token, Token + "\n", Stop);
        File.SetUnixFileMode(token, UnixFileMode.UserRead);
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = image }],
            Nvme = "127.0.0.1:0",
            Web = "127.0.0.1:0",
            Metrics = "127.0.0.1:0",
            Control = Path.Combine(folder, "c"),
            WebControl = control,
            WebTokenFile = control ? token : null,
        };
        settings = with?.Invoke(settings) ?? settings;
        await (before?.Invoke(image) ?? Task.CompletedTask);
        var log = new StringWriter();
        var server = await PaddockServer.StartAsync(
            settings, new ServeLog(TextWriter.Synchronized(log), TimeProvider.System, json: true), null, new WebPart());
        return new WebServer(server, settings, log, folder);
    }

    public ValueTask<IBlockDevice> NvmeAsync()
        => NvmeNode.OpenAsync($"nvme+tcp://127.0.0.1:{Server.NvmeAddress!.Port}/nqn.2026-01.io.paddock:disk", readOnly: false);

    public Task<string> AskAsync(string line) => ControlSocket.AskAsync(_settings.Control!, line, Stop);

    /// <summary>Sends a request and returns its status and its reply.</summary>
    public async Task<(int Status, string Text)> SendAsync(
        string path, HttpMethod? method = null, string? body = null, string? token = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Get, path);
        request.Content = body is null ? null : new StringContent(body, Encoding.UTF8, "application/json");
        request.Headers.Authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using var reply = await Client.SendAsync(request, Stop);
        return ((int)reply.StatusCode, await reply.Content.ReadAsStringAsync(Stop));
    }

    /// <summary>The reply to a request that succeeds, as JSON.</summary>
    public async Task<JsonElement> JsonAsync(string path)
    {
        var (status, text) = await SendAsync(path);
        Assert.True(status == 200, $"{path}: {status} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
