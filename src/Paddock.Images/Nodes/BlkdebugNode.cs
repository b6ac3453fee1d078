using System.Globalization;
using System.Text;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Images.Text;
using Paddock.Posix;

namespace Paddock.Images.Nodes;

/// <summary>
/// The driver blkdebug: faults on demand over another node, as <c>blkdebug:CONFIG:IMAGE</c> (CONFIG may be empty) or by options.
/// </summary>
/// <param name="Name">How the node was named; null: by options alone.</param>
/// <param name="Image">Name of the node below; null where <paramref name="ImageOptions"/> say it.</param>
/// <param name="ImageOptions">Options of the node below.</param>
/// <param name="Rules">What to do at which event.</param>
/// <param name="Alignment">Size of the blocks that writes are padded to.</param>
internal sealed record BlkdebugNode(string? Name, string? Image, QDict ImageOptions, IReadOnlyList<FaultRule> Rules, int Alignment)
{
    /// <summary>Its name.</summary>
    public const string Driver = "blkdebug";

    private const string Scheme = Driver + ":";
    private const string Below = "image";
    private const string ConfigFailure = "Could not read blkdebug config file: ";

    // only the alignment shows: by the events of a write that is padded
    private static readonly string[] Limits = ["align", "max-transfer", "opt-write-zero", "max-write-zero", "opt-discard", "max-discard"];
    private static readonly string[] Sections = [FaultConfig.InjectError, FaultConfig.SetState];

    // a configuration that an image names
    private const int MostConfigBytes = 1 << 20;

    /// <summary>What a name or options ask for; null when they ask for another driver. Takes its options out.</summary>
    /// <exception cref="ToolException">They ask for it in a wrong way, or the configuration cannot be read.</exception>
    public static BlkdebugNode? Find(string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (name is not null)
        {
            return !name.StartsWith(Scheme, StringComparison.Ordinal) ? null : Named(name, options.TakePrefix("file"), settings);
        }

        if (driver == Driver)
        {
            return FromOptions(null, options, settings);
        }

        return options["file.driver"] as string == Driver ? FromOptions(null, options.TakePrefix("file"), settings) : null;
    }

    private static BlkdebugNode Named(string name, QDict options, OpenSettings settings)
    {
        int colon = name.IndexOf(':', Scheme.Length);
        if (colon < 0)
        {
            throw new ToolException("blkdebug requires both config file and image path");
        }

        string config = name[Scheme.Length..colon];
        if (config.Length > 0)
        {
            options["config"] = config;
        }

        return FromOptions(name[(colon + 1)..], options, settings) with { Name = name };
    }

    private static BlkdebugNode FromOptions(string? image, QDict options, OpenSettings settings)
    {
        options.Take("driver");
        var rules = RulesOf(options.Take("config") as string, options, settings);
        ulong align = 1;
        foreach (string limit in Limits)
        {
            align = Math.Max(align, CheckLimit(limit, options.Take(limit), align));
        }

        var below = new QDict();
        foreach (var (key, value) in options.TakePrefix(Below).InOrder)
        {
            below["file." + key] = value;
        }

        if (options.Take(Below) is { } node)
        {
            throw new ToolException($"Cannot find device='{node}' nor node-name='{node}'");
        }

        if (image is null && below.Count == 0)
        {
            throw new ToolException("A block device must be specified for \"image\"");
        }

        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Driver}' doesn't support the option '{unknown}'")
            : new BlkdebugNode(null, image, below, rules, (int)align);
    }

    private static List<FaultRule> RulesOf(string? config, QDict options, OpenSettings settings)
    {
        var rules = new List<FaultRule>();
        if (config is not null)
        {
            rules.AddRange(FaultConfig.Parse(settings.Admit is null ? ReadConfig(config) : ReadStoredConfig(config), Errno.ToBlockError));
        }

        foreach (string section in Sections)
        {
            var given = options.TakePrefix(section);
            for (int i = 0; given.Count > 0; i++)
            {
                var rule = given.TakePrefix(i.ToString(CultureInfo.InvariantCulture));
                if (rule.Count == 0)
                {
                    throw new ToolException($"Unused option '{given.InOrder.First().Key}' for [{section}]");
                }

                rules.Add(FaultConfig.ToRule(
                    section, rule.InOrder.ToDictionary(static o => o.Key, static o => Text(o.Value)), Errno.ToBlockError));
            }
        }

        return rules;
    }

    private static string ReadConfig(string path)
    {
        try
        {
            return FileNames.ReadAllText(path);
        }
        catch (FileNotFoundException)
        {
            throw new ToolException(ConfigFailure + "No such file or directory");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ConfigFailure + e.Message);
        }
    }

    // an image names it: a FIFO must not make us wait, nor /dev/zero fill the memory
    private static string ReadStoredConfig(string path)
    {
        using var file = OpenStoredConfig(path);
        if (file.Length > MostConfigBytes)
        {
            throw new ToolException($"{ConfigFailure}'{path}' has {file.Length} bytes, and {MostConfigBytes} are allowed");
        }

        byte[] bytes = new byte[file.Length];
        file.ReadAsync(0, bytes).AsTask().GetAwaiter().GetResult();
        return Encoding.UTF8.GetString(bytes);
    }

    private static FileStorage OpenStoredConfig(string path)
    {
        try
        {
            return FileStorage.Open(new FileOpenOptions
            {
                Path = path,
                ReadOnly = true,
                Lock = ImageLock.None,
                Admit = facts => _ = facts.IsStored ? true : throw new ToolException($"{ConfigFailure}'{path}' is not a regular file"),
            });
        }
        catch (BlockException e)
        {
            throw new ToolException(ConfigFailure + ErrorText.Of(e));
        }
    }

    private static string Text(object? value) => value switch
    {
        true => "on",
        false => "off",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };

    // the first of them is the alignment, of which the others must be multiples
    private static ulong CheckLimit(string name, object? value, ulong align)
    {
        ulong size = value is null ? 0 : SizeParser.Option(name, Text(value));
        bool isAlign = name == Limits[0];
        return size > int.MaxValue || (isAlign && size != 0 && !ulong.IsPow2(size)) || (!isAlign && size % align != 0)
            ? throw new ToolException($"Cannot meet constraints with {name} {size}")
            : isAlign ? size : 0;
    }
}
