using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>
/// Opens nodes of the block graph by the rules of QEMU: which driver a name or options select, which nodes are opened below, and what
/// each inherits.
/// </summary>
internal sealed class NodeOpener(ImageOpener images, IOpenMessages messages)
{
    private const string Json = "json:";

    /// <summary>Takes warnings.</summary>
    public IOpenMessages Messages => messages;

    /// <summary>Opens images that other images name.</summary>
    public ImageOpener Images => images;

    /// <summary>Opens a node with everything below it.</summary>
    /// <param name="name">File name or <c>json:</c> name; null if the options alone describe it.</param>
    /// <param name="options">Options, flat; used up.</param>
    /// <param name="settings">How; what the options say counts more.</param>
    /// <param name="depth">Nodes above this one.</param>
    /// <param name="isProtocol">Whether the node supplies bytes unless its options say otherwise; else its format is probed.</param>
    public async ValueTask<ImageNode> OpenAsync(string? name, QDict options, OpenSettings settings, int depth, bool isProtocol)
    {
        // the file of an image does not count as an image
        ImageChain.CheckDepth(isProtocol ? depth - 1 : depth);
        settings.Chain!.CountNode();
        if (name is not null && name.StartsWith(Json, StringComparison.Ordinal))
        {
            MergeJson(name, options);
            name = null;
            settings = settings with { AreOptionsStored = settings.Admit is not null };
        }

        if (settings is { ForceShare: true, ReadOnly: false })
        {
            throw new ToolException("force-share=on can only be used with read-only images");
        }

        if (settings.Format is { } format && !options.Contains("driver"))
        {
            options["driver"] = format;
        }

        var given = options.Clone();
        string? driverName = options.Take("driver") as string;
        settings = NodeOptions.ApplyCommon(options, settings) with { Format = null, Options = null };
        if (await NvmeNode.TryOpenAsync(name, options, driverName, settings) is { } remote)
        {
            return remote;
        }

        var driver = driverName is null ? null : NodeDrivers.Find(driverName) ?? throw new ToolException($"Unknown driver '{driverName}'");
        isProtocol = driver is null ? isProtocol : driver.Kind == NodeKind.Protocol;
        if (isProtocol && name is not null)
        {
            if (options.Contains("filename"))
            {
                throw new ToolException("Can't specify 'file' and 'filename' options at the same time");
            }

            driver ??= NodeDrivers.OfName(name);
            driver.ParseName(name, options);
        }
        else if (isProtocol)
        {
            driver ??= options["filename"] is string filename ? NodeDrivers.OfName(filename) : throw NothingToOpen();
        }

        foreach (var (key, value) in isProtocol ? options.InOrder : [])
        {
            given[key] = value;
        }

        var opening = new NodeOpening(this, options, settings, depth) { Name = name };
        try
        {
            if (!isProtocol)
            {
                settings.Chain!.Begin();
                await OpenFileAsync(opening, name);
                driver ??= await ProbeAsync(opening);
            }

            return await OpenAsync(driver!, opening, given);
        }
        catch
        {
            await opening.AbandonAsync();
            throw;
        }
    }

    /// <summary>Rejects a node named by reference: a tool has no other nodes.</summary>
    public static void RefuseReference(QDict options, string key)
    {
        if (options.Contains(key) && options[key] is string reference)
        {
            throw new ToolException($"Cannot find device='{reference}' nor node-name='{reference}'");
        }
    }

    /// <summary>Rejects options that a driver has not taken.</summary>
    public static void RefuseUnknown(NodeDriver driver, QDict options)
    {
        if (options.InOrder.FirstOrDefault().Key is { } unknown)
        {
            throw new ToolException(driver.Kind == NodeKind.Protocol
                ? $"Block protocol '{driver.Name}' doesn't support the option '{unknown}'"
                : $"Block format '{driver.Name}' does not support the option '{unknown}'");
        }
    }

    private static ToolException NothingToOpen() => new("Must specify either driver or file");

    private static void MergeJson(string name, QDict options)
    {
        QDict parsed;
        try
        {
            parsed = (JsonReader.Parse(name[Json.Length..]) as QDict ?? throw new UsageException("Invalid JSON object given")).Flatten();
        }
        catch (ToolException e) when (e is not UsageException)
        {
            throw new ToolException("Could not parse the JSON options: " + e.Message);
        }

        foreach (var (key, value) in parsed.InOrder)
        {
            if (!options.Contains(key))
            {
                options[key] = value;
            }
        }
    }

    private static async ValueTask OpenFileAsync(NodeOpening opening, string? name)
    {
        var settings = opening.Settings;
        if (settings.Storage is { } storage)
        {
            opening.Add("file", FileDriver.NodeOf(storage, name!, settings));
            return;
        }

        await opening.TryOpenChildAsync(name, "file", isProtocol: true);
        if (opening.File is { Driver: "file" } file && settings.Over is { } over)
        {
            file.Storage = over(file.Storage);
        }
    }

    private static async ValueTask<NodeDriver> ProbeAsync(NodeOpening opening)
    {
        var file = opening.File ?? throw NothingToOpen();
        string format = await FormatProbe.DetectReadableAsync(file.AsStorage());
        opening.IsProbed = true;
        if (format == FormatProbe.Raw && !opening.Settings.ReadOnly && !file.IsNull)
        {
            opening.Messages.GuessedRaw(opening.Name ?? file.Filename);
        }

        return NodeDrivers.Find(format)!;
    }

    private static async ValueTask<ImageNode> OpenAsync(NodeDriver driver, NodeOpening opening, QDict given)
    {
        var policy = NodeOptions.TakeGeneric(opening.Options, opening.Settings);
        string? nodeName = NodeOptions.TakeName(opening.Options);
        var node = await driver.OpenAsync(opening);
        try
        {
            RefuseUnknown(driver, opening.Options);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }

        node.Children = opening.Children;
        node.NodeName = nodeName;
        node.Faults ??= node.Primary?.Faults;
        node.Cache = opening.Settings.Cache;
        node.IsProtocol = driver.Kind == NodeKind.Protocol;
        node.IsFilter = driver.Kind == NodeKind.Filter;
        NodeNames.Set(node, driver, given);
        policy.Apply(node);
        return node;
    }
}
