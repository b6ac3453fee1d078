using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Fails requests at random while snapshots of a zoned disk are taken, deleted and applied. A failure may leave what it concerned in any
/// state, but the image stays sound, other zones keep their contents, and every snapshot that was taken stays as it was.
/// </summary>
internal sealed class ZoneSnapshotFaultRun(int seed, SimOptions options) : ZoneSnapshotRun(seed, options)
{
    private int _failures;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        await BeginAsync();
        Disks.Image.FaultsMayTakeEffect = Random.Next(2) == 0;
        Disks.Image.FaultOneIn = Pick(30, 100, 300);
        for (int i = 0; i < Options.Ops * 2; i++)
        {
            await StepAsync();
        }

        await ReopenAsync();
        await CloseAsync();
        await CheckSoundAsync();
        await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
    }

    /// <inheritdoc/>
    protected override async Task<bool> TryAsync(TimedOp? op, Func<ValueTask> request)
    {
        try
        {
            return await base.TryAsync(op, request);
        }
        catch (BlockException e) when (e.Error is BlockError.Io || _failures > 0)
        {
            Trace($"  failed: {e.Message}");
            _failures++;
            return false;
        }
    }

    /// <inheritdoc/>
    protected override async Task ReopenAsync()
    {
        Trace("reopen");
        int before = _failures;
        bool isClosed = await TryAsync(null, async () => await CloseAsync());
        int oneIn = Disks.Image.FaultOneIn;
        Disks.Image.FaultOneIn = 0;
        await CheckSoundAsync();
        Device = await Recipe.OpenAsync(Disks.Image);
        if (!isClosed)
        {
            LoseAll();
        }

        await VerifyAsync("after reopening");
        await CheckSnapshotsAsync(Disks.Image.Live, int.MaxValue);
        Disks.Image.FaultOneIn = oneIn;
    }

    private async Task CheckSoundAsync()
    {
        var features = new byte[1];
        Disks.Image.Live.Read(79, features);
        if ((features[0] & 1) == 0)
        {
            await CheckAsync(Disks.Image.Live, leaksAllowed: _failures > 0 || Recipe.Create.RefcountBits <= 2, "after closing");
        }
    }
}
