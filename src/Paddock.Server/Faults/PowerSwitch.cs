using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Faults;

/// <summary>Simulates a power cut of the whole server, as seen by clients and images, and restores the power.</summary>
/// <remarks>
/// In this order: listeners stop accepting clients, all connections are closed (no reply is sent after that), requests held by rules fail,
/// unflushed data is dropped, running requests leave the old images, the images are reopened, listeners accept clients again.
/// </remarks>
internal sealed class PowerSwitch(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, ServeLog log, TimeProvider time)
{
    private static readonly TimeSpan LeaveLimit = TimeSpan.FromSeconds(15), Step = TimeSpan.FromMilliseconds(10);

    private int _busy;

    /// <summary>Cuts the power.</summary>
    /// <param name="keepPercent">Probability that an unflushed sector survives, 0 to 100.</param>
    /// <param name="seed">Seed of the random choice.</param>
    /// <param name="hold">Duration of the power cut.</param>
    /// <returns>Bytes that no flush had made durable.</returns>
    /// <exception cref="ToolException">Not possible, or an image cannot be reopened.</exception>
    public async Task<long> CutAsync(int keepPercent, int seed, TimeSpan hold)
    {
        if (disks.FirstOrDefault(d => d.Power is null && !d.Settings.ReadOnly) is { } bare)
        {
            throw new ToolException($"'{bare.Name}' has no volatile cache: start the server with --volatile-cache SIZE, such as 64M");
        }

        if (Interlocked.Exchange(ref _busy, 1) != 0)
        {
            throw new ToolException("another power cut is in progress");
        }

        try
        {
            Admit(false);
            long lost = disks.Sum(d => d.Power?.UnflushedBytes ?? 0);
            await DropAsync(keepPercent, seed);
            log.Write("power cut", ("unflushed", lost.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            if (hold > TimeSpan.Zero)
            {
                await Task.Delay(hold, time);
            }

            await RestoreAsync();
            log.Write("power restored");
            return lost;
        }
        finally
        {
            Admit(true);
            Volatile.Write(ref _busy, 0);
        }
    }

    private void Admit(bool clients)
    {
        foreach (var listener in listeners)
        {
            listener.Admit(clients);
        }
    }

    private async Task DropAsync(int keepPercent, int seed)
    {
        foreach (var listener in listeners)
        {
            listener.DropConnections();
        }

        GiveUp();
        foreach (var (disk, i) in disks.Select((d, i) => (d, i)))
        {
            if (disk.Power is { } power)
            {
                await power.CutAsync(keepPercent, unchecked(seed + i));
            }
        }

        var gone = Task.WhenAll(listeners.Select(d => d.GoneAsync(LeaveLimit)));
        while (!gone.IsCompleted)
        {
            // a late request may be held by a rule
            GiveUp();
            await Task.WhenAny(gone, Task.Delay(Step, time));
        }

        await gone;
    }

    private void GiveUp()
    {
        foreach (var disk in disks)
        {
            disk.Faults.GiveUpAll();
        }
    }

    private async Task RestoreAsync()
    {
        var failures = new List<string>();
        foreach (var disk in disks)
        {
            // a resize fails without power, but may still be running
            await disk.Served.SettledAsync();
            try
            {
                await (disk.Power?.RestoreAsync(disk.Served) ?? Task.CompletedTask);
            }
            catch (Exception e) when (e is ToolException or BlockException)
            {
                log.Write("image not reopened", ("image", disk.Name), ("reason", e.Message));
                failures.Add(e.Message);
            }

            // the resize may or may not have taken effect
            foreach (var listener in listeners)
            {
                listener.Resized(disk);
            }
        }

        if (failures.Count > 0)
        {
            throw new ToolException("power restored, but " + string.Join("; ", failures));
        }
    }
}
