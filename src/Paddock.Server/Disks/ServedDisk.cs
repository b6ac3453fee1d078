using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Server.Faults;
using Paddock.Server.Live;
using Paddock.Serving;

namespace Paddock.Server.Disks;

/// <summary>An open image as the listeners see it: one device, shared by all of them, behind the fault rules.</summary>
internal sealed class ServedDisk
{
    /// <summary>
    /// How long freed space is kept before it is released to the file system: clients that reset or trim usually write again soon.
    /// </summary>
    internal static readonly TimeSpan KeepFreedSpace = TimeSpan.FromSeconds(10);

    private readonly ImageNode? _node;
    private readonly RequestGate _uses = new();
    private readonly CancellationTokenSource _closing = new();

    private ServedDisk(
        ServedImage settings, string name, ImageNode? node, PoweredImage? power, RequestCounters written, ITraceSink? trace)
    {
        Settings = settings;
        Name = name;
        _node = node;
        Power = power;
        Written = written;
        Served = new ServedDevice(Node.Device);
        Meter = new LiveMeter(trace);
        Device = CheckedDevice.Wrap(new LiveDevice(Served, Meter));
    }

    /// <summary>Its settings.</summary>
    public ServedImage Settings { get; }

    /// <summary>Name of the NBD export and of the namespaces.</summary>
    public string Name { get; }

    /// <summary>The served device; it stays the same when the image is reopened.</summary>
    public IBlockDevice Device { get; }

    /// <summary>What is below the check of <see cref="Device"/>: the fault rules, the gate for resizes, and the current image.</summary>
    public ServedDevice Served { get; }

    /// <summary>The zones of <see cref="Device"/>; null for a plain one.</summary>
    public IZones? Zones => Device.Zones;

    /// <summary>The current image, without fault rules; owned by the server, not by the listener.</summary>
    public ImageNode Node => Power?.Node ?? _node!;

    /// <summary>Fault rules of <see cref="Device"/>.</summary>
    public DeviceFaults Faults => Served.Faults;

    /// <summary>Records the requests to <see cref="Device"/> while somebody watches.</summary>
    public LiveMeter Meter { get; }

    /// <summary>Writes to the image file.</summary>
    public RequestCounters Written { get; }

    /// <summary>The image behind its volatile cache; null if it has none.</summary>
    public PoweredImage? Power { get; }

    /// <summary>Cancelled when the image is about to be closed; see <see cref="TryUse"/>.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <summary>Opens an image.</summary>
    /// <param name="opener">Opens images.</param>
    /// <param name="settings">Settings of the image.</param>
    /// <param name="name">Name of the disk.</param>
    /// <param name="cache">Size of the volatile write cache in bytes; null: none.</param>
    /// <param name="trace">Receives each request; null: no trace is written.</param>
    /// <exception cref="ToolException">The image cannot be opened.</exception>
    public static async Task<ServedDisk> OpenAsync(
        ImageOpener opener, ServedImage settings, string name, long? cache, ITraceSink? trace = null)
    {
        var written = new RequestCounters();
        IStorage Over(IStorage storage) => new CountingStorage(storage, written);
        if (cache is { } size && !settings.ReadOnly)
        {
            return new ServedDisk(settings, name, null, await PoweredImage.OpenAsync(opener, settings, size, Over), written, trace);
        }

        var open = new OpenSettings { ReadOnly = settings.ReadOnly, Format = settings.Format, Over = Over,
            KeepFreedSpace = KeepFreedSpace, Passphrase = settings.ReadPassphrase() };
        return new ServedDisk(settings, name, await opener.OpenAsync(settings.Path, open), null, written, trace);
    }

    /// <summary>
    /// Begins a long use of the image itself, which stays open until <see cref="EndUse"/>; that must be called soon after
    /// <see cref="Closing"/> is cancelled.
    /// </summary>
    /// <returns>A ticket; negative: the image is being closed.</returns>
    public int TryUse() => _uses.TryEnter();

    /// <summary>Ends a use.</summary>
    public void EndUse(int ticket) => _uses.Leave(ticket);

    /// <summary>Flushes and closes the image.</summary>
    /// <returns>Why flushing failed; null on success.</returns>
    public async Task<string?> CloseAsync()
    {
        Faults.GiveUpAll();
        await _closing.CancelAsync();
        await _uses.CloseAsync();
        Served.Resizing += _ => "the server is stopping";
        await Served.SettledAsync();
        string? why = null;
        try
        {
            await Node.Device.FlushAsync();
        }
        catch (Exception e)
        {
            // the other images must be closed whatever happens
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
