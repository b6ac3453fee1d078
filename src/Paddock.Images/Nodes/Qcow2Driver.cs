using Paddock.Images.Chains;
using Paddock.Images.Filters;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>The driver qcow2.</summary>
internal sealed class Qcow2Driver() : NodeDriver(FormatProbe.Qcow2, NodeKind.Format)
{
    private static readonly string[] Strong = [EncryptionOptions.Prefix];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var file = opening.RequireFile();
        var (options, settings) = (opening.Options, opening.Settings);
        bool isCut = IsBackingCut(opening);
        bool noBacking = settings.NoBacking || isCut;

        // left in the list where no backing file is opened: unknown there
        var backing = noBacking ? new Text.QDict() : options.TakePrefix(ImageNode.BackingKey);
        var gate = new BackingGate(opening, backing);
        var storage = file.AsStorage();
        var tuning = Qcow2Options.Take(options);
        var encryption = EncryptionOptions.Take(options, settings);
        var dataFile = await opening.TryOpenChildAsync(null, DataFileNode.Option, isProtocol: true, DataFileNode.SettingsFor(settings));
        var open = tuning.Apply(encryption with
        {
            ReadOnly = settings.ReadOnly,
            ForCheck = settings.ForCheck,
            ForInfo = settings.ForInfo,
            NoBacking = noBacking,
            Gate = gate,
            DataFile = dataFile?.AsStorage(),
            DataFileGate = new DataFileNode(settings),
            KeepFreedSpace = settings.KeepFreedSpace,
            MarkBitmaps = opening.Opener.Images.MarkBitmaps,
            OnRepair = opening.Messages.Repaired,
            OnCorruption = settings.ReadOnly ? opening.Messages.FoundCorrupt : opening.Messages.Corrupted,
            Tables = settings.Chain!.Tables,
            L2CacheBytes = ImageChain.L2CacheOf(opening.Depth),
            Snapshot = settings.LoadSnapshot,
        });
        NodeOpener.RefuseUnknown(this, options);
        var image = await OpenAsync(storage, open, tuning, gate, settings.Stop);
        if (dataFile is null && image.DataFile is { } named)
        {
            opening.Add(DataFileNode.Option, FileDriver.NodeOver(named, named.Name));
        }

        foreach (string warning in image.Warnings)
        {
            opening.Messages.Warn(warning);
        }

        return new ImageNode
        {
            Driver = Name,
            Storage = storage,
            Protocol = file.Driver,
            Qcow2 = image,
            Device = tuning.KeepsReferences ? new KeptClustersDevice(image) : image,
            Backing = gate.Opened,
            IsBackingReplaced = gate.Opened is { } below ? below.Filename != gate.Expected
                : isCut && !settings.ForInfo && image.Info.BackingFile is not null,
        };
    }

    private static async ValueTask<IQcow2Device> OpenAsync(
        Block.IStorage storage, Qcow2OpenOptions open, Qcow2Tuning tuning, BackingGate gate, CancellationToken cancellationToken)
    {
        var image = await EncryptionOptions.OpenAsync(storage, open, cancellationToken);
        try
        {
            Qcow2Options.Check(tuning, image.Info);
            if (gate.Opened is { } below)
            {
                ZoneChain.RequireSame(image.Zones, below.Device, below.Filename);
            }

            return image;
        }
        catch
        {
            await image.DisposeAsync();
            throw;
        }
    }

    // "backing": null ends the chain at this image; an empty name is the older way to say it
    private static bool IsBackingCut(NodeOpening opening)
    {
        var (options, settings) = (opening.Options, opening.Settings);
        const string Key = ImageNode.BackingKey;
        if (!options.Contains(Key) || (settings is { NoBacking: true, ForCheck: false } && options[Key] is not (null or "")))
        {
            return false;
        }

        object? node = options.Take(Key);
        if (node is "")
        {
            opening.Messages.Warn("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
        }

        return node is null or "" ? true
            : throw new ToolException($"Could not open backing file: Cannot find device='{node}' nor node-name='{node}'");
    }
}
