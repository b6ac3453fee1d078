using Paddock.Block;
using Paddock.Block.Faults;
using Paddock.Block.Serving;
using Paddock.Tools.Serve.Faults;

namespace Paddock.Tools.Serve.Listeners;

/// <summary>An opened image as the listeners see it: one device for all of them, with its faults on demand before it.</summary>
internal sealed class ServedDisk
{
    /// <summary>Clients that reset or trim write again soon, mostly; what they do not is given back to the file system after this.</summary>
    internal static readonly TimeSpan KeepFreedSpace = TimeSpan.FromSeconds(10);

    private readonly ImageNode? _node;

    private ServedDisk(ServedImage settings, string name, ImageNode? node, PoweredImage? power, StorageCounters written)
    {
        Settings = settings;
        Name = name;
        _node = node;
        Power = power;
        Written = written;
        Served = new ServedDevice(Node.Device);
        Device = CheckedDevice.Wrap(Served);
    }

    /// <summary>What was asked for.</summary>
    public ServedImage Settings { get; }

    /// <summary>What it is called: its NBD export, and its namespaces.</summary>
    public string Name { get; }

    /// <summary>What listeners serve; it stays when the image is opened anew.</summary>
    public IBlockDevice Device { get; }

    /// <summary>What is below the check of <see cref="Device"/>: the rules, the gate for changes of the size, and the image that is open.</summary>
    public ServedDevice Served { get; }

    /// <summary>The zones of <see cref="Device"/>; null for a plain one.</summary>
    public IZones? Zones => Device.Zones;

    /// <summary>The image of now, without faults; the server owns it, not the listener.</summary>
    public ImageNode Node => Power?.Node ?? _node!;

    /// <summary>The rules that requests to <see cref="Device"/> meet.</summary>
    public DeviceFaults Faults => Served.Faults;

    /// <summary>What was written to the image's file.</summary>
    public StorageCounters Written { get; }

    /// <summary>Its power; null where it has no volatile cache, and so nothing to lose.</summary>
    public PoweredImage? Power { get; }

    /// <summary>Opens an image.</summary>
    /// <param name="opener">Opens images.</param>
    /// <param name="settings">Which, and how.</param>
    /// <param name="name">What it is called.</param>
    /// <param name="cache">Bytes of its volatile write cache; null: none.</param>
    /// <exception cref="ToolException">It cannot be opened.</exception>
    public static async Task<ServedDisk> OpenAsync(ImageOpener opener, ServedImage settings, string name, long? cache)
    {
        var written = new StorageCounters();
        IStorage Over(IStorage storage) => new CountingStorage(storage, written);
        if (cache is { } size && !settings.ReadOnly)
        {
            return new ServedDisk(settings, name, null, await PoweredImage.OpenAsync(opener, settings, size, Over), written);
        }

        var open = new OpenSettings { ReadOnly = settings.ReadOnly, Format = settings.Format, Over = Over, KeepFreedSpace = KeepFreedSpace };
        return new ServedDisk(settings, name, await opener.OpenAsync(settings.Path, open), null, written);
    }

    /// <summary>Makes everything durable and closes the image.</summary>
    /// <returns>Why not everything is durable; null when it is.</returns>
    public async Task<string?> CloseAsync()
    {
        Faults.GiveUpAll();
        Served.Resizing += _ => "the server stops";
        await Served.SettledAsync();
        string? why = null;
        try
        {
            await Node.Device.FlushAsync();
        }
        catch (Exception e)
        {
            // whatever it is, the other images must be closed too
            why = e.Message;
        }

        try
        {
            await Node.DisposeAsync();
        }
        catch (Exception e)
        {
            why ??= e.Message;
        }

        return why;
    }
}
