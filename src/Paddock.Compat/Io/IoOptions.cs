using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>qemu-io's ways to open an image, as its command line and its open and reopen commands name them.</summary>
internal static class IoOptions
{
    /// <summary>The discard mode.</summary>
    public static OpenSettings Discard(OpenSettings settings, string mode) => mode switch
    {
        "unmap" or "on" => settings,
        "ignore" or "off" => throw new ToolException($"discard={mode} is not supported: discards free space"),
        _ => throw new ToolException($"Invalid discard option: {mode}"),
    };

    /// <summary>The mode of asynchronous I/O; native is checked when the image is opened, once its cache mode is known.</summary>
    public static OpenSettings Aio(OpenSettings settings, string mode)
        => mode is "threads" or "native" or "io_uring" ? settings with { Aio = mode }
            : throw new ToolException($"Invalid aio option: {mode}");

    /// <summary>The settings of a reopened image.</summary>
    /// <param name="opened">What it was opened with.</param>
    /// <param name="cache">The new cache mode; null keeps it.</param>
    /// <param name="options">Options that replace the previous ones; null for none.</param>
    public static (string Name, OpenSettings Settings) Reopened(
        (string Name, OpenSettings Settings, bool ImageOpts) opened, string? cache, string? options)
    {
        var settings = opened.Settings;
        if (cache is not null)
        {
            settings = ImageOpener.IsCacheMode(cache) ? settings with { Cache = cache }
                : throw new ToolException($"Invalid cache option: {cache}");
        }

        if (string.IsNullOrEmpty(options))
        {
            return (opened.Name, settings);
        }

        if (opened.ImageOpts)
        {
            return ($"{opened.Name},{options}", settings);
        }

        if (opened.Name.StartsWith("json:", StringComparison.Ordinal))
        {
            throw new ToolException("reopening an image that was opened by a json: name with other options is not supported");
        }

        var merged = settings.Options?.Clone() ?? new QDict();
        foreach (var (key, value) in KeyValueOptions.Parse(options))
        {
            merged[key] = value;
        }

        return (opened.Name, settings with { Options = merged });
    }
}
