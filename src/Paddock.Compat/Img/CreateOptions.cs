using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary>The <c>-o</c> options of a new image: names, aliases (spec section 2) and types.</summary>
public sealed class CreateOptions
{
    private static readonly Dictionary<string, string> Aliases = new()
    {
        ["zone.mode"] = "zone_model",
        ["zone.size"] = "zone_size",
        ["zone.capacity"] = "zone_capacity",
        ["zone.conventional_zones"] = "conventional_zones",
        ["zone.max_open_zones"] = "max_open_zones",
        ["zone.max_active_zones"] = "max_active_zones",
        ["zone.max_append_bytes"] = "max_append_bytes",
        ["zone_nr_conv"] = "conventional_zones",
    };

    private readonly Dictionary<string, string> _values = [];

    /// <summary>Names in the order in which the line of a new qcow2 image lists them.</summary>
    public static IReadOnlyList<string> LineOrder { get; } =
    [
        .. EncryptionCreate.LineOrder,
        "cluster_size", "extended_l2", "preallocation", "compression_type", "zone_model", "zone_layout", "zone_size", "zone_capacity",
        "conventional_zones", "max_append_bytes", "max_active_zones", "max_open_zones", "size", "compat", "backing_file",
        "backing_fmt", "data_file", "data_file_raw", "lazy_refcounts", "refcount_bits", "nocow",
        "extent_size_hint",
    ];

    /// <summary>An option's value as text; null when it was not given.</summary>
    public string? this[string name]
    {
        get => _values.GetValueOrDefault(name);
        set
        {
            if (value is not null)
            {
                _values[name] = value;
            }
        }
    }

    /// <summary>Objects that the options may name, as <c>--object</c> has them.</summary>
    public IReadOnlyList<string> Objects { get; init; } = [];

    /// <summary>Whether the image is in RBD.</summary>
    public bool IsInRbd { get; init; }

    /// <summary>Whether the zones part has anything.</summary>
    public bool IsZoned => this["zone_model"] == "host-managed";

    /// <summary>Adds an <c>-o</c> list.</summary>
    public void Add(string list, bool raw) => Add(list, raw ? "raw" : "qcow2");

    /// <summary>Adds an <c>-o</c> list for an image of a format.</summary>
    public void Add(string list, string format)
    {
        foreach (var (given, text) in KeyValueOptions.Parse(list))
        {
            var (name, value) = Canonical(given, text);
            var option = FormatOptions.ForCreate(name, format, IsInRbd) ?? throw new ToolException($"Invalid parameter '{given}'");
            _values[name] = option.Parse(value);
        }
    }

    /// <summary>A number option.</summary>
    public long Number(string name, long fallback = 0)
        => this[name] is { } text ? (long)Math.Min(FormatOption.NumberOf(text), long.MaxValue) : fallback;

    /// <summary>Bytes in which the file system should allocate space; null: it is not told.</summary>
    public uint? ExtentSizeHint => this["extent_size_hint"] is null ? null
        : Number("extent_size_hint") is var bytes && bytes <= uint.MaxValue ? (uint)bytes
        : throw new ToolException("Extent size hint is too large");

    /// <summary>The preallocation mode.</summary>
    public Preallocation Preallocation() => PreallocationName.Parse(this["preallocation"])
        ?? throw new ToolException($"Parameter 'preallocation' does not accept value '{this["preallocation"]}'");

    /// <summary>What the engine's create takes.</summary>
    public Qcow2CreateOptions ToQcow2(long size)
    {
        var encryption = EncryptionCreate.ForQcow2(this, out bool isOldAes);
        return new Qcow2CreateOptions
        {
            Size = size,
            Version = this["compat"] switch
            {
                null or "1.1" or "v3" => 3,
                "0.10" or "v2" => 2,
                var other => throw new ToolException($"Parameter 'version' does not accept value '{other}'"),
            },
            ClusterSize = (int)Math.Min(Number("cluster_size", 65536), int.MaxValue),
            RefcountBits = (int)Math.Min(Number("refcount_bits", 16), int.MaxValue),
            ExtendedL2 = this["extended_l2"] == "on",
            LazyRefcounts = this["lazy_refcounts"] == "on",
            Compression = this["compression_type"] switch
            {
                null or "zlib" => Qcow2Compression.Zlib,
                "zstd" => Qcow2Compression.Zstd,
                var other => throw new ToolException($"Parameter 'compression-type' does not accept value '{other}'"),
            },
            Preallocation = Preallocation(),
            BackingFile = this["backing_file"],
            BackingFormat = this["backing_fmt"],
            DataFile = this["data_file"],
            DataFileRaw = this["data_file_raw"] == "on",
            Encryption = encryption,
            OldAesEncryption = isOldAes,
            Zoned = Zones(),
        };
    }


    private static (string Name, string Value) Canonical(string name, string value) => name switch
    {
        "zoned" => ("zone_model", value switch
        {
            "on" or "1" => "host-managed",
            "off" or "0" => "non-zoned",
            _ => throw new ToolException("Parameter 'zoned' expects 'on' or 'off'"),
        }),
        "max_append_sectors" => ("max_append_bytes", SizeParser.TryParseInteger(value, out ulong n) == NumberFault.None
            ? (n * 512).ToString(null, null) : throw new ToolException("Parameter 'max_append_sectors' expects a number")),
        _ => (Aliases.GetValueOrDefault(name, name), value),
    };

    private ZonedCreateOptions? Zones()
    {
        string[] names = ["zone_size", "zone_capacity", "conventional_zones", "max_open_zones", "max_active_zones", "max_append_bytes"];
        if (this["zone_model"] is not (null or "host-managed" or "non-zoned"))
        {
            throw new ToolException($"Parameter 'zone_model' does not accept value '{this["zone_model"]}'");
        }

        if (!IsZoned)
        {
            return names.FirstOrDefault(n => this[n] is not null) is { } stray
                ? throw new ToolException($"Option '{stray}' needs zone_model=host-managed")
                : null;
        }

        return new ZonedCreateOptions
        {
            Layout = this["zone_layout"] switch
            {
                null or "a" => ZoneLayout.A,
                "c" => ZoneLayout.C,
                var other => throw new ToolException($"Parameter 'zone_layout' does not accept value '{other}'"),
            },
            ZoneSize = this["zone_size"] is null
                ? throw new ToolException("zone_model=host-managed needs a zone_size") : Number("zone_size"),
            ZoneCapacity = this["zone_capacity"] is null ? null : Number("zone_capacity"),
            ConventionalZones = Count("conventional_zones"),
            MaxOpenZones = Count("max_open_zones"),
            MaxActiveZones = Count("max_active_zones"),
            MaxAppendBytes = Number("max_append_bytes"),
        };
    }

    private uint Count(string name)
        => Number(name) is var n && n <= uint.MaxValue ? (uint)n : throw new ToolException($"'{name}' is too large: {n}");
}
