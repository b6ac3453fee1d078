using System.Text.Json;
using System.Text.Json.Serialization;

namespace Paddock.Tools.Serve;

/// <summary>One image in a configuration.</summary>
public sealed record ServedImage
{
    /// <summary>The file; <c>nvme+tcp://</c> and <c>nbd://</c> names work too.</summary>
    public required string Path { get; set; }

    /// <summary><c>qcow2</c> or <c>raw</c>; null: probed.</summary>
    public string? Format { get; set; }

    /// <summary>Take no writes.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>The subsystem that it belongs to; null: the server's first.</summary>
    public string? Nqn { get; set; }

    /// <summary>The name under which NBD offers it; null: the file's name without its ending.</summary>
    public string? Export { get; set; }

    /// <summary>The Unix socket by which vhost-user offers it; null: as the server's setting of that name says.</summary>
    public string? VhostUser { get; set; }
}

/// <summary>What `paddock serve` is told, by flags or by a configuration file.</summary>
/// <remarks>The properties can be set: generated code would give an init-only one that a file leaves out its type's default, not ours.</remarks>
public sealed record ServeSettings
{
    /// <summary>The images.</summary>
    public IReadOnlyList<ServedImage> Images { get; set; } = [];

    /// <summary>Where NVMe/TCP listens, as HOST:PORT; null: nowhere.</summary>
    public string? Nvme { get; set; }

    /// <summary>Where NBD listens, as HOST:PORT or unix:PATH; null: nowhere.</summary>
    public string? Nbd { get; set; }

    /// <summary>The Unix socket by which vhost-user offers the image, or a folder in which each image gets one, NAME.sock; null: none.</summary>
    public string? VhostUser { get; set; }

    /// <summary>Queues of a vhost-user disk.</summary>
    public int VhostUserQueues { get; set; } = 4;

    /// <summary>Where metrics are served over HTTP, as HOST:PORT; null: nowhere.</summary>
    public string? Metrics { get; set; }

    /// <summary>The Unix socket that `paddock fault` talks to; null: none.</summary>
    public string? Control { get; set; }

    /// <summary>Name of the subsystem of images that name none; null: made from the first image's name.</summary>
    public string? Nqn { get; set; }

    /// <summary>Qualified names of the hosts that may connect; empty: all.</summary>
    public IReadOnlyList<string> AllowHosts { get; set; } = [];

    /// <summary>Bytes of an NVMe logical block: 512 or 4096.</summary>
    public int BlockSize { get; set; } = 512;

    /// <summary>Connections at once over NVMe/TCP.</summary>
    public int MaxConnections { get; set; } = 256;

    /// <summary>Seconds of silence after which an NVMe host without keep alive is taken for dead; 0: never.</summary>
    public int IdleTimeout { get; set; }

    /// <summary>Log lines as JSON.</summary>
    public bool JsonLog { get; set; }

    /// <summary>Reads a configuration file: JSON, with comments and trailing commas allowed.</summary>
    /// <exception cref="ToolException">It cannot be read; the message names the place.</exception>
    public static ServeSettings Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ServeJson.Default.ServeSettings)
                ?? throw new ToolException($"'{path}' holds no settings");
        }
        catch (JsonException e)
        {
            throw new ToolException($"'{path}', line {e.LineNumber + 1}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot read '{path}': {e.Message}");
        }
    }
}

/// <summary>How settings stand in JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(ServeSettings))]
internal sealed partial class ServeJson : JsonSerializerContext;
