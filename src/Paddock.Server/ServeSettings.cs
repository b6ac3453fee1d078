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

    /// <summary>Take no writes.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Size of its volatile write cache, such as 64M, for <c>powercut</c>; null: the server's.</summary>
    public string? VolatileCache { get; set; }

    /// <summary>The subsystem that it belongs to; null: the server's first.</summary>
    public string? Nqn { get; set; }

    /// <summary>The name under which NBD offers it; null: the file's name without its ending.</summary>
    public string? Export { get; set; }

    /// <summary>A text for people that NBD clients see.</summary>
    public string? Description { get; set; }

    /// <summary>The Unix socket by which vhost-user offers it; null: as the server's setting of that name says.</summary>
    public string? VhostUser { get; set; }
}

/// <summary>What `paddock serve` is told, by flags or by a configuration file.</summary>
/// <remarks>
/// The properties can be set: generated code would give an init-only one that a file leaves out its type's default, not ours.
/// </remarks>
public sealed record ServeSettings
{
    /// <summary>Seconds of silence after which a client is idle, unless set.</summary>
    public const int DefaultIdleSeconds = 600;

    /// <summary>The images.</summary>
    public IReadOnlyList<ServedImage> Images { get; set; } = [];

    /// <summary>Where NVMe/TCP listens, as HOST:PORT; null: nowhere.</summary>
    public string? Nvme { get; set; }

    /// <summary>Where NBD listens, as HOST:PORT or unix:PATH; null: nowhere.</summary>
    public string? Nbd { get; set; }

    /// <summary>Folder of the certificates of NBD, named as QEMU names them; null: no TLS.</summary>
    public string? NbdTlsCreds { get; set; }

    /// <summary><c>required</c>: every NBD client goes through TLS; <c>allowed</c>: those that ask for it.</summary>
    public string NbdTls { get; set; } = "required";

    /// <summary>
    /// <c>required</c>: an NBD client over TLS shows a certificate that <c>ca-cert.pem</c> vouches for; <c>none</c>: it need not.
    /// </summary>
    public string NbdTlsClients { get; set; } = "required";

    /// <summary>Whether NBD clients may change the sizes of exports that they may write.</summary>
    public bool NbdResize { get; set; }

    /// <summary>
    /// The Unix socket by which vhost-user offers the image, or a folder in which each image gets one, NAME.sock; null: none.
    /// </summary>
    public string? VhostUser { get; set; }

    /// <summary>Queues of a vhost-user disk.</summary>
    public int VhostUserQueues { get; set; } = 4;

    /// <summary>
    /// Whether guest memory is refused that cannot be sealed: whoever shares it could cut it short, which would end the server.
    /// </summary>
    public bool VhostUserSealed { get; set; } = true;

    /// <summary>Where metrics are served over HTTP, as HOST:PORT; null: nowhere.</summary>
    public string? Metrics { get; set; }

    /// <summary>Names by which HTTP clients may address the metrics, beyond localhost and the server's own addresses.</summary>
    public IReadOnlyList<string> MetricsHosts { get; set; } = [];

    /// <summary>The Unix socket that `paddock fault` and `paddock resize` talk to; null: none.</summary>
    public string? Control { get; set; }

    /// <summary>Scripts of faults that are run from the start; a path, or an array of them.</summary>
    [JsonConverter(typeof(OneOrMore))]
    public IReadOnlyList<string> Faults { get; set; } = [];

    /// <summary>Size of the volatile write cache of images that name none, such as 64M; null: they have none.</summary>
    public string? VolatileCache { get; set; }

    /// <summary>Name of the subsystem of images that name none; null: made from the first image's name.</summary>
    public string? Nqn { get; set; }

    /// <summary>Qualified names of the hosts that may connect; empty: all.</summary>
    public IReadOnlyList<string> AllowHosts { get; set; } = [];

    /// <summary>File of the keys by which NVMe hosts must authenticate; null: those of the environment, where there are some.</summary>
    public string? DhchapKeys { get; set; }

    /// <summary>Hashes that may be agreed, the preferred one first; empty: all.</summary>
    public IReadOnlyList<string> DhchapHashes { get; set; } = [];

    /// <summary>Diffie-Hellman groups that may be agreed, the preferred one first; empty: all but null.</summary>
    public IReadOnlyList<string> DhchapGroups { get; set; } = [];

    /// <summary>Bytes of an NVMe logical block: 512 or 4096.</summary>
    public int BlockSize { get; set; } = 512;

    /// <summary>Connections at once by each listener, 1 to 65536.</summary>
    public int MaxConnections { get; set; } = 256;

    /// <summary>Memory for the data of all listeners' requests, such as 1G; at least 16M.</summary>
    public string MaxMemory { get; set; } = "1G";

    /// <summary>
    /// Seconds of silence after which a client is dropped (an NVMe host: one without keep alive); 0: never. Null:
    /// <see cref="DefaultIdleSeconds"/> for NVMe hosts; an NBD client is dropped then only when all connections are taken, since a kernel's
    /// client is silent for hours.
    /// </summary>
    public int? IdleTimeout { get; set; }

    /// <summary>Seconds that a stop waits for requests under way, 0 to 600.</summary>
    public int DrainTimeout { get; set; } = 10;

    /// <summary>Which backing files the images may name: <c>none</c>, <c>same-directory</c> or <c>any</c>.</summary>
    public string Backing { get; set; } = "same-directory";

    /// <summary>Log lines as JSON.</summary>
    public bool JsonLog { get; set; }

    /// <summary>Reads a configuration file: JSON, with comments and trailing commas allowed.</summary>
    /// <exception cref="ToolException">It cannot be read; the message names the place.</exception>
    public static ServeSettings Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(FileNames.ReadAllBytes(path), ServeJson.Default.ServeSettings)
                ?? throw new ToolException($"'{path}' contains no settings; expected an object");
        }
        catch (JsonException e)
        {
            string error = SettingsErrors.Of(e);
            throw new ToolException($"'{path}', {error}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string reason = FileErrorText.Of(e, path);
            throw new ToolException($"cannot read '{path}': {reason}");
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
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(ServeSettings))]
internal sealed partial class ServeJson : JsonSerializerContext;
