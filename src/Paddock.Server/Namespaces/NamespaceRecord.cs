using System.Text.Json;
using System.Text.Json.Serialization;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Server.Namespaces;

/// <summary>A namespace that a host has created, as recorded in <c>namespaces.json</c>.</summary>
internal sealed record NamespaceRecord
{
    /// <summary>Its identifier.</summary>
    public required uint Id { get; set; }

    /// <summary>Its globally unique identifier; null in records of older versions.</summary>
    public Guid? Unique { get; set; }

    /// <summary>Name of the image, a file of the same directory.</summary>
    public required string File { get; set; }

    /// <summary>Size in bytes, which counts against the quota.</summary>
    public required long Size { get; set; }

    /// <summary>Bytes of a logical block.</summary>
    public required int BlockSize { get; set; }

    /// <summary>Whether it can be attached to one controller only.</summary>
    public bool IsPrivate { get; set; }

    /// <summary>Hosts that it is attached to, by NQN.</summary>
    public IReadOnlyList<string> Hosts { get; set; } = [];
}

/// <summary>The contents of <c>namespaces.json</c>.</summary>
internal sealed record NamespaceRecords
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "namespaces.json";

    private const int CurrentVersion = 1, MaxRecords = 4096;
    private const long MaxFileBytes = 16 << 20;

    /// <summary>Version of the format.</summary>
    public int Version { get; set; } = CurrentVersion;

    /// <summary>The namespaces.</summary>
    public IReadOnlyList<NamespaceRecord> Namespaces { get; set; } = [];

    /// <summary>Reads the file of a directory; a missing file has no namespaces.</summary>
    /// <exception cref="ToolException">The file cannot be read or is invalid.</exception>
    public static NamespaceRecords Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!FileNames.Exists(path))
        {
            return new NamespaceRecords();
        }

        try
        {
            using var file = FileNames.OpenRead(path);
            if (file.Length > MaxFileBytes)
            {
                throw new ToolException($"'{path}' has {file.Length} bytes; the limit is {MaxFileBytes}");
            }

            var records = JsonSerializer.Deserialize(file, NamespaceJson.Default.NamespaceRecords) ?? new NamespaceRecords();
            records.Check(path);
            return records;
        }
        catch (JsonException e)
        {
            throw new ToolException($"'{path}' is not valid: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot read '{path}': {FileErrorText.Of(e, path)}");
        }
    }

    /// <summary>Writes the file of a directory durably: after a crash it has its old contents or its new ones.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Save(string folder)
    {
        string path = Path.Combine(folder, FileName);
        byte[] text = JsonSerializer.SerializeToUtf8Bytes(this, NamespaceJson.Default.NamespaceRecords);
        DurableFiles.Replace(path, text);
    }

    private void Check(string path)
    {
        if (Version != CurrentVersion || Namespaces.Count > MaxRecords)
        {
            throw new ToolException(Version != CurrentVersion
                ? $"'{path}' has version {Version}; this server supports version {CurrentVersion}"
                : $"'{path}' has {Namespaces.Count} namespaces; the limit is {MaxRecords}");
        }

        // elements of lists may be null, whatever their type says
        if (Namespaces.Any(static r => r is null || r.Hosts.Any(static h => h is null)))
        {
            throw new ToolException($"'{path}' is not valid: a namespace or host is null");
        }

        foreach (var record in Namespaces)
        {
            bool isName = record.File.Length > 0 && Path.GetFileName(record.File) == record.File && record.File is not ("." or "..");
            if (record.Id == 0 || !isName || record.Size <= 0 || record.BlockSize is not (512 or 4096)
                || Namespaces.Count(r => r.Id == record.Id || r.File == record.File) > 1)
            {
                throw new ToolException($"'{path}': namespace {record.Id} is invalid");
            }
        }
    }
}

/// <summary>JSON format of the records.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, WriteIndented = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(NamespaceRecords))]
internal sealed partial class NamespaceJson : JsonSerializerContext;
