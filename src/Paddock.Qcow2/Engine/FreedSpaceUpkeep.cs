namespace Paddock.Qcow2.Engine;

/// <summary>What an open image does by itself: it returns the space of freed clusters once that has been kept long enough.</summary>
/// <param name="holes">Returns the space.</param>
/// <param name="guard">Stops it when the image is corrupt.</param>
/// <param name="locks">The image's.</param>
/// <param name="timer">Wakes it while there is space to return.</param>
/// <param name="isOn">False where flushes return the space, or nothing does.</param>
internal sealed class FreedSpaceUpkeep(HolePuncher holes, MetadataGuard guard, EngineLocks locks, PunchTimer timer, bool isOn)
    : IAsyncDisposable
{
    /// <summary>Bytes whose space is returned while the tables are held; requests that need them wait so long.</summary>
    private const long PunchBytesAStep = 8 << 20;

    /// <summary>Steps of one round: 2 GiB every period.</summary>
    private const int StepsARound = 256;

    /// <summary>From one round to the next.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _ends = new();
    private Task _running = Task.CompletedTask;

    /// <summary>Begins with the first change of the image.</summary>
    public void Start()
    {
        if (isOn)
        {
            timer.Start();
            _running = RunAsync();
        }
    }

    /// <summary>Ends it, and waits for the step under way.</summary>
    public async ValueTask DisposeAsync()
    {
        if (isOn)
        {
            await _ends.CancelAsync();
        }

        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _ends.Dispose();
        timer.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                await timer.WaitAsync(_ends.Token);
                for (int i = 0; i < StepsARound && await PunchStepAsync(); i++)
                {
                    _ends.Token.ThrowIfCancellationRequested();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // the image is closed
        }
    }

    private async ValueTask<bool> PunchStepAsync()
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            bool any = !guard.HasFailed && await holes.PunchDueAsync(PunchBytesAStep);
            if (!holes.HoldsSpace || guard.HasFailed)
            {
                timer.Disarm();
            }

            return any;
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
