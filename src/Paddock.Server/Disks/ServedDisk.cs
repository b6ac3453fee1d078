using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Rbd;
using Paddock.Server.Faults;
using Paddock.Server.Live;
using Paddock.Server.Standby;
using Paddock.Serving;

namespace Paddock.Server.Disks;

/// <summary>An image as the listeners see it: one device, shared by all of them, behind the fault rules.</summary>
internal sealed class ServedDisk : IDisposable
{
    /// <summary>
    /// How long freed space is kept before it is released to the file system: clients that reset or trim usually write again soon.
    /// </summary>
    internal static readonly TimeSpan KeepFreedSpace = TimeSpan.FromSeconds(10);

    private readonly RequestGate _uses = new();
    private readonly CancellationTokenSource _removing = new();
    private volatile ImageNode? _node;
    private volatile string _unowned = "";
    private volatile DiskState _state;
    private volatile bool _isHandingOver;

    private ServedDisk(
        ServedImage settings, string name, IBlockDevice device, PoweredImage? power, RequestCounters written, ITraceSink? trace)
    {
        Settings = settings;
        Removing = _removing.Token;
        Name = name;
        Power = power;
        Written = written;
        Served = new ServedDevice(device);
        Meter = new LiveMeter(trace);
        Device = CheckedDevice.Wrap(new LiveDevice(Served, Meter));
    }

    /// <summary>Its settings.</summary>
    public ServedImage Settings { get; }

    /// <summary>Name of the NBD export and of the namespaces.</summary>
    public string Name { get; }

    /// <summary>Name of the image in the log; that of a node in RBD is a <c>json:</c> name, as for QEMU.</summary>
    public string Filename => RbdTarget.IsName(Settings.Path) ? Settings.Path : OpenNode?.Filename ?? Settings.Path;

    /// <summary>The served device; it stays the same when the image is reopened.</summary>
    public IBlockDevice Device { get; }

    /// <summary>What is below the check of <see cref="Device"/>: the fault rules, the gate for resizes, and the current image.</summary>
    public ServedDevice Served { get; }

    /// <summary>The zones of <see cref="Device"/>; null for a plain one.</summary>
    public IZones? Zones => Device.Zones;

    /// <summary>Who serves its data.</summary>
    public DiskState State => _state;

    /// <summary>The same for the live feed, which also shows a hand-over in progress.</summary>
    public string StateName => _isHandingOver && _state == DiskState.Active ? "handing over" : DiskStateNames.NameOf(_state);

    /// <summary>The current image, without fault rules; owned by the server, not by the listener. Null unless the disk is active.</summary>
    public ImageNode? OpenNode => Power?.Node ?? _node;

    /// <summary>Space that the image file occupies, in bytes; 0 if unknown.</summary>
    public long FileBytes => State == DiskState.Active && OpenNode is { } node ? Math.Max(0, node.Storage.AllocatedBytes) : 0;

    /// <summary>Fault rules of <see cref="Device"/>.</summary>
    public DeviceFaults Faults => Served.Faults;

    /// <summary>Records the requests to <see cref="Device"/> while somebody watches.</summary>
    public LiveMeter Meter { get; }

    /// <summary>Writes to the image file.</summary>
    public RequestCounters Written { get; }

    /// <summary>The image behind its volatile cache; null if it has none.</summary>
    public PoweredImage? Power { get; }

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
        if (cache is { } size && !settings.ReadOnly)
        {
            var power = await PoweredImage.OpenAsync(opener, settings, size, storage => new CountingStorage(storage, written));
            return new ServedDisk(settings, name, power.Node.Device, power, written, trace);
        }

        var node = await opener.OpenAsync(settings.Path, SettingsOf(settings, written));
        return new ServedDisk(settings, name, node.Device, null, written, trace) { _node = node };
    }

    /// <summary>Makes a disk whose image another process owns.</summary>
    /// <param name="settings">Settings of the image.</param>
    /// <param name="name">Name of the disk.</param>
    /// <param name="device">Has the size and the zones of the image.</param>
    /// <param name="trace">Receives each request; null: no trace is written.</param>
    public static ServedDisk OnStandby(ServedImage settings, string name, UnownedDevice device, ITraceSink? trace = null)
        => new(settings, name, device, null, new RequestCounters(), trace) { _state = DiskState.Standby };

    /// <summary>Opens the image of a disk that is not active, for <see cref="Activate"/>.</summary>
    /// <exception cref="ToolException">It cannot be opened.</exception>
    public ValueTask<ImageNode> ReopenAsync(ImageOpener opener) => opener.OpenAsync(Settings.Path, SettingsOf(Settings, Written));

    /// <summary>Serves an image that this server owns now.</summary>
    /// <param name="node">The image; owned from here on.</param>
    /// <exception cref="BlockException">It is of another kind than before: nothing is changed, and the caller keeps it.</exception>
    public void Activate(ImageNode node)
    {
        Served.Replace(node.Device);
        _node = node;
        _state = DiskState.Active;
    }

    /// <summary>Fails every later request; the image stays open for those that are inside.</summary>
    /// <param name="state">Standby or lost.</param>
    /// <param name="reason">Why requests fail.</param>
    /// <returns>The image, no longer owned.</returns>
    public ImageNode Deactivate(DiskState state, string reason)
    {
        var node = _node!;
        _state = state;
        _unowned = reason;
        Served.Replace(UnownedDevice.For(node.Device, reason));
        _node = null;
        return node;
    }

    /// <summary>Keeps the image open for a command, until the result is disposed.</summary>
    /// <exception cref="ToolException">The disk is not active.</exception>
    public Use Hold()
    {
        int ticket = _uses.TryEnter();
        if (ticket >= 0 && OpenNode is { } node)
        {
            return new Use(this, node, ticket);
        }

        if (ticket >= 0)
        {
            _uses.Leave(ticket);
        }

        throw new ToolException(State == DiskState.Active ? $"'{Name}' is being handed over" : Inactive);
    }

    /// <summary>Begins a hand-over: rejects commands, once none of them uses the image.</summary>
    /// <returns>False if one still does at the limit: commands are then accepted.</returns>
    public async ValueTask<bool> TryBlockCommandsAsync(TimeSpan limit) => _isHandingOver = await _uses.TryCloseAsync(limit);

    /// <summary>Rejects commands, once none of them uses the image.</summary>
    public ValueTask BlockCommandsAsync() => _uses.CloseAsync();

    /// <summary>Accepts commands again.</summary>
    public void UnblockCommands()
    {
        _isHandingOver = false;
        _uses.Open();
    }

    /// <summary>Cancelled when the disk is about to be removed: commands that hold it must end.</summary>
    public CancellationToken Removing { get; }

    /// <summary>Closes the image permanently: commands that use it end first.</summary>
    /// <returns>Why flushing failed; null on success.</returns>
    public async Task<string?> RemoveAsync()
    {
        await _removing.CancelAsync();
        await BlockCommandsAsync();
        return await CloseAsync();
    }

    /// <summary>Throws unless the disk is active.</summary>
    /// <exception cref="ToolException">The disk is on standby, or lost.</exception>
    public void ExpectActive()
    {
        if (State != DiskState.Active)
        {
            throw new ToolException(Inactive);
        }
    }

    /// <summary>Flushes and closes the image.</summary>
    /// <returns>Why flushing failed; null on success.</returns>
    public async Task<string?> CloseAsync()
    {
        Faults.GiveUpAll();
        Served.Resizing += _ => "the server is stopping";
        await Served.SettledAsync();
        string? why = OpenNode is { } node ? await CloseAsync(node) : null;
        Dispose();
        return why;
    }

    /// <inheritdoc/>
    public void Dispose() => _removing.Dispose();

    /// <summary>Flushes and closes an image.</summary>
    /// <returns>Why flushing failed; null on success.</returns>
    public static async Task<string?> CloseAsync(ImageNode node)
    {
        string? why = null;
        try
        {
            await node.Device.FlushAsync();
        }
        catch (Exception e)
        {
            // the other images must be closed whatever happens
            why = e.Message;
        }

        try
        {
            await node.DisposeAsync();
        }
        catch (Exception e)
        {
            why ??= e.Message;
        }

        return why;
    }

    private string Inactive => _unowned.Length > 0 ? _unowned : $"'{Name}' is on standby: another server owns the image";

    private static OpenSettings SettingsOf(ServedImage settings, RequestCounters written) => new()
    {
        ReadOnly = settings.ReadOnly, Format = settings.Format, Over = storage => new CountingStorage(storage, written),
        KeepFreedSpace = KeepFreedSpace, Passphrase = settings.ReadPassphrase(), Cache = settings.CacheMode,
    };

    /// <summary>An image that a command uses.</summary>
    /// <param name="Disk">Its disk.</param>
    /// <param name="Node">The image.</param>
    /// <param name="Ticket">Of the gate of commands.</param>
    internal readonly record struct Use(ServedDisk Disk, ImageNode Node, int Ticket) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose() => Disk._uses.Leave(Ticket);
    }
}
