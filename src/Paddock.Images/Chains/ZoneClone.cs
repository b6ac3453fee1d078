using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Qcow2.Zoned;

namespace Paddock.Images.Chains;

/// <summary>
/// The zones that a new overlay takes over from the image below it: geometry, limits, write pointers, conditions, extensions.
/// </summary>
internal sealed class ZoneClone
{
    private readonly string _name;
    private readonly long _length;
    private readonly ZoneContents[] _zones;

    private ZoneClone(ImageNode below, ZonedLimits limits, ZoneLayout layout, ZoneContents[] zones)
    {
        _name = EscapedText.Escape(below.Filename);
        _length = below.Device.Length;
        _zones = zones;
        Limits = limits;
        Layout = layout;
    }

    /// <summary>The base's geometry and limits.</summary>
    public ZonedLimits Limits { get; }

    /// <summary>How the base stores its zones.</summary>
    public ZoneLayout Layout { get; }

    /// <summary>Number of the base's zones.</summary>
    public int Count => _zones.Length;

    /// <summary>The zones of a base; null if it has none.</summary>
    /// <exception cref="BlockException">It is not a qcow2 image: its zones are not known well enough.</exception>
    public static async ValueTask<ZoneClone?> OfAsync(ImageNode below, CancellationToken cancellationToken = default)
    {
        if (below.Device.Zones is not { Limits: var limits })
        {
            return null;
        }

        var image = ZoneChain.ZonedOf(below.Qcow2) ?? throw new BlockException(
            BlockError.NotSupported, $"'{EscapedText.Escape(below.Filename)}' has zones and is not a qcow2 image: it cannot have overlays");
        return new ZoneClone(below, limits, image.Info.Zoned!.Layout, await image.ReadZonesAsync(cancellationToken));
    }

    /// <summary>The options of an overlay, with the zones and pointers of the base.</summary>
    /// <param name="options">Its options; zones that are given must be those of the base, limits may be others.</param>
    /// <exception cref="BlockException">The zones differ, or the size ends inside a zone of the base.</exception>
    public Qcow2CreateOptions Apply(Qcow2CreateOptions options)
    {
        var zoned = options.Zoned ?? ZonesFor(options.ClusterSize);
        long capacity = zoned.ZoneCapacity ?? zoned.ZoneSize;
        if ((zoned.ZoneSize, capacity, (long)zoned.ConventionalZones) != (Limits.ZoneSize, Limits.ZoneCapacity, Limits.ConventionalZones))
        {
            throw Refused(
                $"they have {Limits.ZoneSize} bytes (capacity {Limits.ZoneCapacity}, {Limits.ConventionalZones} conventional), and those "
                    + $"of the overlay {zoned.ZoneSize} (capacity {capacity}, {zoned.ConventionalZones} conventional): "
                    + "leave the options out");
        }

        if (options.Size < _length && options.Size % Limits.ZoneSize != 0)
        {
            throw Refused($"a size of {options.Size} ends inside one of its zones of {Limits.ZoneSize} bytes");
        }

        var pointers = new long[(options.Size + zoned.ZoneSize - 1) / zoned.ZoneSize];
        for (int zone = 0; zone < pointers.Length; zone++)
        {
            pointers[zone] = zone < _zones.Length ? _zones[zone].Pointer : zone * zoned.ZoneSize;
        }

        return options with { Zoned = zoned, InitialWritePointers = pointers };
    }

    /// <summary>Gives the new image what the options of creation do not hold.</summary>
    /// <param name="storage">The new image; stays open.</param>
    /// <param name="options">What it is like.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async ValueTask FinishAsync(IStorage storage, Qcow2CreateOptions options, CancellationToken cancellationToken = default)
    {
        if (!Array.Exists(_zones, static z => z.Kept != 0 || z.Extension is not null))
        {
            return;
        }

        // only metadata is written: the data file is not needed
        var open = new Qcow2OpenOptions
        {
            NoBacking = true,
            DataFile = options.DataFile is null ? null : new MemoryStorage(),
            Passphrase = options.Encryption?.Passphrase ?? default,
        };
        await using var image = await Qcow2Image.OpenAsync(new LentStorage(storage), open, cancellationToken);
        var zoned = ZoneChain.ZonedOf(image)!;
        int count = (int)Math.Min(_zones.Length, (image.Length + Limits.ZoneSize - 1) / Limits.ZoneSize);
        await zoned.TakeZonesAsync(_zones[..count], cancellationToken);
    }

    // layout C has rules for new images that older ones need not keep
    private ZonedCreateOptions ZonesFor(int clusterSize) => new()
    {
        Layout = Layout == ZoneLayout.C && Limits.ZoneSize % clusterSize != 0 ? ZoneLayout.A : Layout,
        ZoneSize = Limits.ZoneSize,
        ZoneCapacity = Limits.ZoneCapacity,
        ConventionalZones = (uint)Limits.ConventionalZones,
        MaxOpenZones = Limits.MaxOpenZones,
        MaxActiveZones = Limits.MaxActiveZones,
        MaxAppendBytes = Limits.MaxAppendBytes,
        RandomArea = Limits.RandomArea,
    };

    private BlockException Refused(string why) => new(BlockError.InvalidArgument, $"the backing file '{_name}' has zones: {why}");

    private sealed class LentStorage(IStorage storage) : DelegatingStorage(storage, owns: false);
}
