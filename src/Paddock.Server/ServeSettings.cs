using System.Text.Json;
using System.Text.Json.Serialization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Server;

/// <summary>One image in a configuration.</summary>
public sealed record ServedImage
{
    /// <summary>The file; <c>nvme+tcp://</c> and <c>nbd://</c> names work too.</summary>
    public required string Path { get; set; }

    /// <summary><c>qcow2</c> or <c>raw</c>; null: probed.</summary>
    public string? Format { get; set; }

    /// <summary>
    /// File with the passphrase of an encrypted image, which only its owner can access; null: none, and an encrypted image is rejected.
    /// </summary>
    public string? PassphraseFile { get; set; }

    /// <summary>The passphrase; null: none is needed.</summary>
    /// <exception cref="ToolException">The file cannot be read, or is accessible by others.</exception>
    internal ReadOnlyMemory<byte>? ReadPassphrase() => Images.PassphraseFile.Read(PassphraseFile);

    /// <summary>Whether writes are rejected.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Size of its volatile write cache, such as 64M, for <c>powercut</c>; null: the server's.</summary>
    public string? VolatileCache { get; set; }

    /// <summary>Whether each change is durable when it completes; the server's setting applies too.</summary>
    public bool WriteThrough { get; set; }

    /// <summary>How the image is cached, as <see cref="OpenSettings.Cache"/> names it.</summary>
    internal string? CacheMode => WriteThrough ? "writethrough" : null;

    /// <summary>NVMe subsystem; null: that of the server.</summary>
    public string? Nqn { get; set; }

    /// <summary>NBD export name; null: the file name without extension.</summary>
    public string? Export { get; set; }

    /// <summary>Human-readable description for NBD clients.</summary>
    public string? Description { get; set; }

    /// <summary>Unix socket for vhost-user; null: according to the server's setting.</summary>
    public string? VhostUser { get; set; }
}

/// <summary>Settings of `paddock serve`, from options and a configuration file.</summary>
/// <remarks>
/// The properties are settable: for an init-only one, generated code would use the default of its type if a file omits it.
/// </remarks>
public sealed record ServeSettings
{
    /// <summary>Seconds of silence after which a client is idle, unless set.</summary>
    public const int DefaultIdleSeconds = 600;

    /// <summary>The images.</summary>
    public IReadOnlyList<ServedImage> Images { get; set; } = [];

    /// <summary>NVMe/TCP address, HOST:PORT; null: not served.</summary>
    public string? Nvme { get; set; }

    /// <summary>NBD address, HOST:PORT or unix:PATH; null: not served.</summary>
    public string? Nbd { get; set; }

    /// <summary>Directory of the TLS certificates for NBD, with QEMU's file names; null: no TLS.</summary>
    public string? NbdTlsCreds { get; set; }

    /// <summary><c>required</c>: every NBD client must use TLS; <c>allowed</c>: clients may use it.</summary>
    public string NbdTls { get; set; } = "required";

    /// <summary>
    /// <c>required</c>: an NBD client over TLS must present a certificate signed by <c>ca-cert.pem</c>; <c>none</c>: it need not.
    /// </summary>
    public string NbdTlsClients { get; set; } = "required";

    /// <summary>Whether NBD clients may resize writable exports.</summary>
    public bool NbdResize { get; set; }

    /// <summary>
    /// Unix socket for vhost-user, or a directory with a socket NAME.sock for each image; null: not served.
    /// </summary>
    public string? VhostUser { get; set; }

    /// <summary>Queues of a vhost-user disk.</summary>
    public int VhostUserQueues { get; set; } = 4;

    /// <summary>
    /// Whether guest memory must be sealed: its owner could truncate it otherwise, which would terminate the server.
    /// </summary>
    public bool VhostUserSealed { get; set; } = true;

    /// <summary>
    /// Unix sockets for vfio-user, SOCKET or SOCKET=NQN, each of a controller on a virtual machine's PCI bus; a path, or an array of paths.
    /// </summary>
    [JsonConverter(typeof(OneOrMore))]
    public IReadOnlyList<string> VfioUser { get; set; } = [];

    /// <summary>I/O queues of a vfio-user controller, 1 to 128.</summary>
    public int VfioUserQueues { get; set; } = 16;

    /// <summary>
    /// Doorbells of vfio-user controllers: <c>trapped</c>, reported by the client; or <c>mapped</c>, written by the guest and polled here.
    /// </summary>
    public string VfioUserDoorbells { get; set; } = "trapped";

    /// <summary>Interrupts of vfio-user controllers: <c>msix</c>, or <c>intx</c> only.</summary>
    public string VfioUserInterrupts { get; set; } = "msix";

    /// <summary>Maximum time to poll idle queues of a vfio-user controller, in microseconds, 0 to 1000000; 0: not at all.</summary>
    public int VfioUserPoll { get; set; } = 50;

    /// <summary>
    /// Whether only sealed guest memory is mapped: the owner of other memory could truncate it, which would terminate the server. Such
    /// memory is accessed with messages.
    /// </summary>
    public bool VfioUserSealed { get; set; } = true;

    /// <summary>Metrics address, HOST:PORT or unix:PATH; null: not served.</summary>
    public string? Metrics { get; set; }

    /// <summary>Host names accepted in requests for metrics, besides localhost and the server's own addresses.</summary>
    public IReadOnlyList<string> MetricsHosts { get; set; } = [];

    /// <summary>Address of the live page and its API, HOST:PORT or unix:PATH; null: not served.</summary>
    public string? Web { get; set; }

    /// <summary>Host names accepted in requests to the page, besides localhost and the server's own addresses.</summary>
    public IReadOnlyList<string> WebHosts { get; set; } = [];

    /// <summary>Whether clients with the token may change zones through the API.</summary>
    public bool WebControl { get; set; }

    /// <summary>File with the token of <see cref="WebControl"/>, which only its owner can access; null: none.</summary>
    public string? WebTokenFile { get; set; }

    /// <summary>File that receives a trace of all requests; null: none is written.</summary>
    public string? TraceFile { get; set; }

    /// <summary>Maximum size of the trace, such as 64M; at least 64k.</summary>
    public string TraceSize { get; set; } = "64M";

    /// <summary>Unix socket for the commands fault, resize, snapshot, backup, handover and watch; null: none.</summary>
    public string? Control { get; set; }

    /// <summary>Fault scripts, run from the start; a path, or an array of paths.</summary>
    [JsonConverter(typeof(OneOrMore))]
    public IReadOnlyList<string> Faults { get; set; } = [];

    /// <summary>Default size of the volatile write caches, such as 64M; null: no cache.</summary>
    public string? VolatileCache { get; set; }

    /// <summary>
    /// Whether to wait for images that another process owns, and to take them over when it releases them or is dead; images can then also
    /// be handed over.
    /// </summary>
    public bool Standby { get; set; }

    /// <summary>
    /// Number of this server among those of the same NVMe subsystems, 1 to 15: each has controller identifiers of its own. 0: there is only
    /// this one.
    /// </summary>
    public int Node { get; set; }

    /// <summary>
    /// Whether each change of every image is durable when it completes: nothing that was acknowledged is lost when the server dies, flushed
    /// or not.
    /// </summary>
    public bool WriteThrough { get; set; }

    /// <summary>Default NVMe subsystem; null: derived from the first image's name.</summary>
    public string? Nqn { get; set; }

    /// <summary>NVMe hosts that may connect; empty: all.</summary>
    public IReadOnlyList<string> AllowHosts { get; set; } = [];

    /// <summary>File with the keys of NVMe hosts; null: keys of the environment, if any.</summary>
    public string? DhchapKeys { get; set; }

    /// <summary>Allowed hashes in order of preference; empty: all.</summary>
    public IReadOnlyList<string> DhchapHashes { get; set; } = [];

    /// <summary>Allowed Diffie-Hellman groups in order of preference; empty: all but null.</summary>
    public IReadOnlyList<string> DhchapGroups { get; set; } = [];

    /// <summary>NVMe logical block size in bytes: 512 or 4096.</summary>
    public int BlockSize { get; set; } = 512;

    /// <summary>Directory in which NVMe hosts create and delete namespaces; null: they cannot.</summary>
    public string? NamespaceDir { get; set; }

    /// <summary>Maximum total size of the namespaces in <see cref="NamespaceDir"/>, such as 100G.</summary>
    public string? NamespaceQuota { get; set; }

    /// <summary>Zone size of zoned namespaces that hosts create, a power of two, such as 64M; 0: they create none. Null: 64M.</summary>
    public string? NamespaceZoneSize { get; set; }

    /// <summary>
    /// Size of the random write areas of zoned namespaces whose hosts ask for them, such as 1M; 0 or null: they have none.
    /// </summary>
    public string? NamespaceZrwaSize { get; set; }

    /// <summary>
    /// File that keeps the totals and the last events of NVMe subsystems between two starts; null: a file in
    /// <see cref="NamespaceDir"/>, or none.
    /// </summary>
    public string? NvmeHistory { get; set; }

    /// <summary>Whether NVMe hosts may format namespaces.</summary>
    public bool NvmeFormat { get; set; } = true;

    /// <summary>Whether NVMe hosts may copy blocks (Copy).</summary>
    public bool NvmeCopy { get; set; } = true;

    /// <summary>Whether NVMe hosts may make blocks unreadable (Write Uncorrectable).</summary>
    public bool NvmeUncorrectable { get; set; } = true;

    /// <summary>Maximum number of connections per listener, 1 to 65536.</summary>
    public int MaxConnections { get; set; } = 256;

    /// <summary>Memory for request data of all listeners, such as 1G; at least 16M.</summary>
    public string MaxMemory { get; set; } = "1G";

    /// <summary>
    /// Seconds of silence after which a client is dropped (an NVMe host: one without keep alive); 0: never. Null:
    /// <see cref="DefaultIdleSeconds"/> for NVMe hosts; an NBD client is dropped then only when all connections are taken, since a kernel's
    /// client is silent for hours.
    /// </summary>
    public int? IdleTimeout { get; set; }

    /// <summary>Seconds to wait for requests in flight when stopping, 0 to 600.</summary>
    public int DrainTimeout { get; set; } = 10;

    /// <summary>Backing files that images may use: <c>none</c>, <c>same-directory</c> or <c>any</c>.</summary>
    public string Backing { get; set; } = "same-directory";

    /// <summary>Log lines as JSON.</summary>
    public bool JsonLog { get; set; }

    /// <summary>Least important events that are logged: <c>error</c>, <c>warning</c>, <c>info</c> or <c>debug</c>; null: info.</summary>
    public string? LogLevel { get; set; }

    /// <summary>File that the log is appended to, opened again at SIGHUP; null: standard error.</summary>
    public string? LogFile { get; set; }

    /// <summary>Reads a configuration file: JSON, with comments and trailing commas allowed.</summary>
    /// <exception cref="ToolException">The file cannot be read or is invalid; the message names the line.</exception>
    public static ServeSettings Load(string path)
    {
        try
        {
            byte[] text = FileNames.ReadAllBytes(path);
            var settings = JsonSerializer.Deserialize(text, ServeJson.Default.ServeSettings)
                ?? throw new ToolException($"'{path}' contains no settings; expected an object", NativeExit.Usage);
            CheckValues(path, text, settings);
            return settings;
        }
        catch (JsonException e)
        {
            string error = SettingsErrors.Of(e);
            throw new ToolException($"'{path}', {error}", NativeExit.Usage);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string reason = FileErrorText.Of(e, path);
            throw new ToolException($"cannot read '{path}': {reason}");
        }
    }

    private static void CheckValues(string path, byte[] text, ServeSettings settings)
    {
        try
        {
            ServeCheck.Values(settings, "");
        }
        catch (ToolException e)
        {
            string key = e.Message[..Math.Max(0, e.Message.IndexOf(' ', StringComparison.Ordinal))];
            string place = SettingsErrors.LineOf(text, key) is { } line ? $", line {line}" : "";
            throw new ToolException($"'{path}'{place}: {e.Message}", e.ExitCode);
        }
    }
}

/// <summary>A string or an array of strings.</summary>
internal sealed class OneOrMore : JsonConverter<IReadOnlyList<string>>
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            return [reader.GetString()!];
        }

        var all = new List<string>();
        bool isArray = reader.TokenType == JsonTokenType.StartArray;
        while (isArray && reader.Read() && reader.TokenType == JsonTokenType.String)
        {
            all.Add(reader.GetString()!);
        }

        return reader.TokenType == JsonTokenType.EndArray ? all : throw new JsonException("expected a string or an array of strings");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, IReadOnlyList<string> value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (string text in value)
        {
            writer.WriteStringValue(text);
        }

        writer.WriteEndArray();
    }
}

/// <summary>JSON format of the settings.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(ServeSettings))]
internal sealed partial class ServeJson : JsonSerializerContext;
