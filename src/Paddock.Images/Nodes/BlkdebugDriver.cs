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
internal sealed class BlkdebugDriver() : NodeDriver(DriverName, NodeKind.Protocol)
{
    /// <summary>Its name.</summary>
    public const string DriverName = "blkdebug";

    private const string Scheme = DriverName + ":";
    private const string ImageName = "x-image", Below = "image", Config = "config";
    private const string ConfigFailure = "Could not read blkdebug config file: ";

    // a configuration that an image names
    private const int MostConfigBytes = 1 << 20;

    private static readonly string[] Sections = [FaultConfig.InjectError, FaultConfig.SetState];
    private static readonly string[] Permissions = ["consistent-read", "write", "write-unchanged", "resize"];
    private static readonly string[] Limits = ["align", "max-transfer", "opt-write-zero", "max-write-zero", "opt-discard", "max-discard"];
    private static readonly string[] Strong = [Config, FaultConfig.InjectError + ".", FaultConfig.SetState + ".", .. Limits];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options)
    {
        if (!filename.StartsWith(Scheme, StringComparison.Ordinal))
        {
            options[ImageName] = filename;
            return;
        }

        int colon = filename.IndexOf(':', Scheme.Length);
        if (colon < 0)
        {
            throw new ToolException("blkdebug requires both config file and image path");
        }

        if (colon > Scheme.Length)
        {
            options[Config] = filename[Scheme.Length..colon];
        }

        options[ImageName] = filename[(colon + 1)..];
    }

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var (options, settings) = (opening.Options, opening.Settings);
        if (options.Take("filename") is string filename)
        {
            ParseName(filename, options);
        }

        var rules = RulesOf(NodeOptions.Text(options.Take(Config)), options, settings);
        TakePermissions(options, settings);
        var below = await opening.OpenChildAsync(options.Take(ImageName) as string, Below, isProtocol: true);
        var faults = new FaultStorage(below.AsStorage(), rules, LimitsOf(options));
        return new ImageNode
        {
            Driver = DriverName,
            Storage = faults,
            Device = below.IsProtocol ? null! : CheckedDevice.Wrap(new FaultDevice(CheckedDevice.Unwrap(below.Device), faults)),
            Backing = below.IsProtocol ? null : below.Backing,
            Faults = faults,
        };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged)
    {
        bool isPlain = node.FullOptions.InOrder.All(static o => o.Key is "driver" or Config or Below);
        return isPlain && node.Children[0].Node.PlainName is { } image ? $"{Scheme}{node.FullOptions[Config]}:{image}" : null;
    }

    private static void TakePermissions(QDict options, OpenSettings settings)
    {
        foreach (string list in new[] { "take-child-perms", "unshare-child-perms" })
        {
            foreach (var (_, value) in options.TakePrefix(list).InOrder)
            {
                string? name = NodeOptions.Text(value);
                if (!Permissions.Contains(name))
                {
                    throw new ToolException($"Parameter 'null' does not accept value '{name}'");
                }

                if (list[0] == 't' && name != Permissions[0] && settings.ReadOnly)
                {
                    throw new ToolException("Block node is read-only");
                }
            }
        }
    }

    private static FaultLimits LimitsOf(QDict options)
    {
        int align = (int)Limit(options, Limits[0], 1);
        align = Math.Max(align, 1);
        int optWriteZero = (int)Limit(options, Limits[2], align), optDiscard = (int)Limit(options, Limits[4], align);
        return new FaultLimits
        {
            Align = align,
            MaxTransfer = (int)Limit(options, Limits[1], align),
            OptWriteZero = optWriteZero,
            MaxWriteZero = (int)Limit(options, Limits[3], Math.Max(align, optWriteZero)),
            OptDiscard = optDiscard,
            MaxDiscard = (int)Limit(options, Limits[5], Math.Max(align, optDiscard)),
        };
    }

    // all but the alignment, a power of two, are multiples of a unit
    private static ulong Limit(QDict options, string name, int unit)
    {
        ulong size = options.Take(name) is { } value ? SizeParser.Option(name, NodeOptions.Text(value)!) : 0;
        bool isAlign = name == Limits[0];
        return size >= int.MaxValue || (isAlign && size != 0 && !ulong.IsPow2(size)) || (!isAlign && size % (ulong)unit != 0)
            ? throw new ToolException($"Cannot meet constraints with {name} {size}") : size;
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
                    section, rule.InOrder.ToDictionary(static o => o.Key, static o => NodeOptions.Text(o.Value) ?? ""),
                    Errno.ToBlockError));
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
}
