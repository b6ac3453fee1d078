using Paddock.Block;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve.Faults;

/// <summary>Cuts the power of the whole server, as far as clients and images can tell, and gives it back.</summary>
/// <remarks>
/// In this order: no listener takes clients, every connection is gone (no answer leaves any more), requests that faults held fail, what was not
/// flushed is dropped, nobody is left in the old images, the images are opened anew, the listeners take clients.
/// </remarks>
internal sealed class PowerSwitch(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, ServeLog log, TimeProvider time)
{
    private static readonly TimeSpan LeaveLimit = TimeSpan.FromSeconds(15), Step = TimeSpan.FromMilliseconds(10);

    private int _busy;

    /// <summary>Cuts the power.</summary>
    /// <param name="keepPercent">How likely a sector that was not flushed survives, 0 to 100.</param>
    /// <param name="seed">Of that choice.</param>
    /// <param name="hold">How long the power stays off.</param>
    /// <exception cref="ToolException">It cannot be cut, or an image does not open afterwards.</exception>
    public async Task CutAsync(int keepPercent, int seed, TimeSpan hold)
    {
        if (disks.FirstOrDefault(d => d.Power is null && !d.Settings.ReadOnly) is { } bare)
        {
            throw new ToolException($"'{bare.Name}' has no volatile cache to lose: start the server with --volatile-cache SIZE, such as 64M");
        }

        if (Interlocked.Exchange(ref _busy, 1) != 0)
        {
            throw new ToolException("the power is off already");
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
            log.Write("power back");
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
            // a request that came late may meet a rule that holds it
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
            // a change of size fails without power, but may not have got there yet
            await disk.Served.SettledAsync();
            try
            {
                await (disk.Power?.RestoreAsync(disk.Served) ?? Task.CompletedTask);
            }
            catch (Exception e) when (e is ToolException or BlockException)
            {
                log.Write("image lost", ("image", disk.Name), ("why", e.Message));
                failures.Add(e.Message);
            }

            // that change may have been done or not
            foreach (var listener in listeners)
            {
                listener.Resized(disk);
            }
        }

        if (failures.Count > 0)
        {
            throw new ToolException("the power is back, but " + string.Join("; ", failures));
        }
    }
}
