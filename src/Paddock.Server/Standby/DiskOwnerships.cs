using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Standby;

/// <summary>The images of a server whose owner may change.</summary>
/// <param name="settings">Whether the server waits for images.</param>
/// <param name="manager">Shows the states of the disks.</param>
/// <param name="log">Receives a line for each change.</param>
internal sealed class DiskOwnerships(ServeSettings settings, ServiceManager manager, ServeLog log)
{
    // disks up to which the status has each by its name
    private const int MostNamed = 8;

    private readonly List<DiskOwnership> _all = [];
    private readonly TaskCompletionSource _allLost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _served;

    /// <summary>All of them.</summary>
    public IReadOnlyList<DiskOwnership> All => _all;

    /// <summary>Completes when every image of the server is lost.</summary>
    public Task AllLost => _allLost.Task;

    /// <summary>Follows a disk, if its image can be lost or taken over.</summary>
    /// <param name="disk">The disk.</param>
    /// <param name="opener">Opens its image.</param>
    /// <param name="listeners">Learn of each change.</param>
    public void Follow(ServedDisk disk, ImageOpener opener, IReadOnlyList<IListener> listeners)
    {
        _served++;
        bool canBeLost = disk.OpenNode is { } node && OwnedStorage.Of(node.Storage) is not null;
        if (!disk.Settings.ReadOnly && (settings.Standby || canBeLost))
        {
            var owner = new DiskOwnership(disk, opener, settings.Standby, listeners, log);
            owner.Changed += ShowStatus;
            _all.Add(owner);
        }
    }

    /// <summary>Begins to watch; the listeners exist, and have no clients yet.</summary>
    public void Start()
    {
        foreach (var owner in _all)
        {
            owner.Start();
        }

        if (!settings.Standby && _all.Count == _served && _served > 0)
        {
            _ = Task.WhenAll(_all.Select(static o => o.Lost)).ContinueWith(_ => _allLost.TrySetResult(), TaskScheduler.Default);
        }
    }

    /// <summary>Ends waiting for images.</summary>
    public async Task StopAsync()
    {
        await Task.WhenAll(_all.Select(static o => o.StopAsync()));
        _all.ForEach(static o => o.Dispose());
    }

    // one line: of many disks, how many are in each state
    private void ShowStatus()
        => manager.Status(string.Join(", ", _all.Count <= MostNamed ? _all.Select(static o => $"{o.Disk.Name}: {o.Disk.StateName}")
            : _all.CountBy(static o => o.Disk.StateName).Select(static s => $"{s.Value} {s.Key}")));
}
