using System.Globalization;
using System.Text.Json;

namespace Paddock.VfioUser.Wire;

/// <summary>Capabilities ("VFIO_USER_VERSION"); null where the sender names none, and the default of the protocol applies.</summary>
internal readonly record struct Capabilities
{
    private const string Outer = "capabilities", Descriptors = "max_msg_fds", Transfer = "max_data_xfer_size", Maps = "max_dma_maps",
        Pages = "pgsizes", Multiple = "write_multiple";

    /// <summary>Maximum number of descriptors that the sender receives with one message; default 1.</summary>
    public long? MaxDescriptors { get; init; }

    /// <summary>Maximum data of one transfer message in bytes; default 1 MiB.</summary>
    public long? MaxTransfer { get; init; }

    /// <summary>Maximum number of memory regions; default 65535.</summary>
    public long? MaxDmaMaps { get; init; }

    /// <summary>Supported page sizes, one bit each; default 4096.</summary>
    public long? PageSizes { get; init; }

    /// <summary>Whether messages with several writes are supported; default no.</summary>
    public bool? WriteMultiple { get; init; }

    /// <summary>Reads capabilities; unknown ones are ignored.</summary>
    /// <exception cref="RequestFailedException">Not JSON, or a value of the wrong type.</exception>
    public static Capabilities Parse(ReadOnlySpan<byte> json)
    {
        if (json.Length == 0)
        {
            return default;
        }

        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
            return Read(ref reader);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"capabilities are not valid JSON: {e.Message}");
        }
    }

    /// <summary>The capabilities of this that the other side proposed, too: a reply must not name others.</summary>
    public Capabilities Among(in Capabilities proposed) => new()
    {
        MaxDescriptors = proposed.MaxDescriptors is null ? null : MaxDescriptors,
        MaxTransfer = proposed.MaxTransfer is null ? null : MaxTransfer,
        MaxDmaMaps = proposed.MaxDmaMaps is null ? null : MaxDmaMaps,
        PageSizes = proposed.PageSizes is null ? null : PageSizes,
        WriteMultiple = proposed.WriteMultiple is null ? null : WriteMultiple,
    };

    /// <summary>The capabilities as JSON.</summary>
    public string ToJson()
    {
        var fields = new List<string>();
        Add(Descriptors, MaxDescriptors);
        Add(Transfer, MaxTransfer);
        Add(Maps, MaxDmaMaps);
        Add(Pages, PageSizes);
        if (WriteMultiple is { } multiple)
        {
            fields.Add($"\"{Multiple}\":{(multiple ? "true" : "false")}");
        }

        return $"{{\"{Outer}\":{{{string.Join(',', fields)}}}}}";

        void Add(string name, long? value)
        {
            if (value is { } number)
            {
                fields.Add(string.Create(CultureInfo.InvariantCulture, $"\"{name}\":{number}"));
            }
        }
    }

    private static Capabilities Read(ref Utf8JsonReader reader)
    {
        var found = default(Capabilities);
        Expect(ref reader, JsonTokenType.StartObject);
        while (Next(ref reader) == JsonTokenType.PropertyName)
        {
            if (!reader.ValueTextEquals(Outer))
            {
                reader.Skip();
                continue;
            }

            Expect(ref reader, JsonTokenType.StartObject);
            while (Next(ref reader) == JsonTokenType.PropertyName)
            {
                found = ReadField(ref reader, found);
            }
        }

        return found;
    }

    private static Capabilities ReadField(ref Utf8JsonReader reader, Capabilities found)
    {
        string name = reader.GetString()!;
        Next(ref reader);
        switch (name)
        {
            case Descriptors:
                return found with { MaxDescriptors = reader.GetInt64() };
            case Transfer:
                return found with { MaxTransfer = reader.GetInt64() };
            case Maps:
                return found with { MaxDmaMaps = reader.GetInt64() };
            case Pages:
                return found with { PageSizes = reader.GetInt64() };
            case Multiple:
                return found with { WriteMultiple = reader.GetBoolean() };
            default:
                reader.Skip();
                return found;
        }
    }

    private static JsonTokenType Next(ref Utf8JsonReader reader)
        => reader.Read() ? reader.TokenType : throw new JsonException("the text ends early");

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type)
    {
        if (Next(ref reader) != type)
        {
            throw new JsonException($"expected {type}, not {reader.TokenType}");
        }
    }
}
