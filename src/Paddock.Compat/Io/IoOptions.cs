using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>qemu-io's ways to open an image, as its command line and its open and reopen commands name them.</summary>
internal static class IoOptions
{
    private const string ReadOnly = "read-only", Direct = "cache.direct", NoFlush = "cache.no-flush";

    /// <summary>The discard mode.</summary>
    public static OpenSettings Discard(OpenSettings settings, string mode) => mode switch
    {
        "unmap" or "on" => settings with { Unmap = true },
        "ignore" or "off" => settings with { Unmap = false },
        _ => throw new ToolException($"Invalid discard option: {mode}"),
    };

    /// <summary>The mode of asynchronous I/O; native is checked when the image is opened, once its cache mode is known.</summary>
    public static OpenSettings Aio(OpenSettings settings, string mode)
        => mode is "threads" or "native" or "io_uring" ? settings with { Aio = mode }
            : throw new ToolException($"Invalid aio option: {mode}");

    /// <summary>The settings of a reopened image: new options join the previous ones.</summary>
    /// <param name="opened">What it was opened with.</param>
    /// <param name="cache">The new cache mode; null keeps it.</param>
    /// <param name="readOnly">Whether it is opened for reading only; null keeps it.</param>
    /// <param name="options">Options that replace the previous ones; null for none.</param>
    public static OpenedImage Reopened(OpenedImage opened, string? cache, bool? readOnly, string? options)
    {
        var given = string.IsNullOrEmpty(options) ? new QDict() : KeyValueOptions.ParseToDict(options);
        if (readOnly is not null && given.Contains(ReadOnly))
        {
            throw new ToolException("Cannot set both -r/-w and 'read-only'");
        }

        if (cache is not null && (given.Contains(Direct) || given.Contains(NoFlush)))
        {
            throw new ToolException("Cannot set both -c and the cache options");
        }

        var settings = opened.Settings;
        var previous = settings.Options?.Clone() ?? new QDict();
        CheckFixed(given, previous, opened.Node);
        if (cache is not null)
        {
            settings = ImageOpener.IsCacheMode(cache) ? settings with { Cache = cache }
                : throw new ToolException($"Invalid cache option: {cache}");
            previous.Take(Direct);
            previous.Take(NoFlush);
        }

        if (readOnly is not null)
        {
            settings = settings with { ReadOnly = readOnly.Value };
            previous.Take(ReadOnly);
        }

        Qcow2Options.Join(given, previous);
        return opened with { Settings = settings with { Options = given } };
    }

    /// <summary>What a refused reopen reports: an option that no driver knows is one that cannot be changed.</summary>
    public static string Refusal(string message)
    {
        const string format = "does not support the option '", protocol = "doesn't support the option '";
        int at = message.IndexOf(format, StringComparison.Ordinal), length = format.Length;
        if (at < 0)
        {
            (at, length) = (message.IndexOf(protocol, StringComparison.Ordinal), protocol.Length);
        }

        return at < 0 || !message.StartsWith("Block ", StringComparison.Ordinal) ? message
            : $"Cannot change the option '{message[(at + length)..]}";
    }

    // which driver and which file it is stays as it was
    private static void CheckFixed(QDict given, QDict previous, ImageNode node)
    {
        foreach (var (key, value) in given.InOrder)
        {
            if (Fixed(node, key) is { } now
                && NodeOptions.Text(previous.Contains(key) ? previous[key] : now.Value) != NodeOptions.Text(value))
            {
                throw new ToolException($"Cannot change the option '{now.Name}'");
            }
        }
    }

    // the option of the node that a key leads to, and its value; null if it may change
    private static (string Name, string? Value)? Fixed(ImageNode node, string key)
    {
        foreach (var (name, child) in node.Children)
        {
            if (key.StartsWith(name + ".", StringComparison.Ordinal))
            {
                return Fixed(child, key[(name.Length + 1)..]);
            }
        }

        return key switch
        {
            "driver" => (key, node.Driver),
            "filename" => (key, node.FullOptions["filename"] as string),
            "node-name" => (key, node.NodeName),
            _ => null,
        };
    }
}

/// <summary>What an image was opened with.</summary>
/// <param name="Name">Its name; null if options alone describe it.</param>
/// <param name="Settings">How, with its options.</param>
/// <param name="Node">The open image.</param>
internal readonly record struct OpenedImage(string? Name, OpenSettings Settings, ImageNode Node);
