using Paddock.Block;

namespace Paddock.Qcow2;

// what an open image does by itself: the space of freed clusters goes back
public sealed partial class Qcow2Image
{
    /// <summary>Bytes whose space a flush gives back where none is kept.</summary>
    private const long PunchBytesAFlush = 64 << 20;

    /// <summary>Bytes whose space goes back while the tables are held; requests that need them wait so long.</summary>
    private const long PunchBytesAStep = 8 << 20;

    /// <summary>Steps of one round: 2 GiB every period.</summary>
    private const int StepsARound = 256;

    private static readonly TimeSpan UpkeepPeriod = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _upkeepEnds = new();
    private Task _upkeep = Task.CompletedTask;

    private bool KeepsFreedSpace => _options.KeepFreedSpace > TimeSpan.Zero;

    private void StartUpkeep()
    {
        if (KeepsFreedSpace && _options.PassDiscards)
        {
            _upkeep = UpkeepAsync();
        }
    }

    private async Task StopUpkeepAsync()
    {
        await _upkeepEnds.CancelAsync();
        await _upkeep.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _upkeepEnds.Dispose();
    }

    private async Task UpkeepAsync()
    {
        using var timer = new PeriodicTimer(UpkeepPeriod, _options.Clock);
        try
        {
            while (await timer.WaitForNextTickAsync(_upkeepEnds.Token))
            {
                for (int i = 0; i < StepsARound && await PunchStepAsync(); i++)
                {
                    _upkeepEnds.Token.ThrowIfCancellationRequested();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // the image closes
        }
    }

    private async ValueTask<bool> PunchStepAsync()
    {
        await _meta.AcquireAsync();
        try
        {
            return !_failed && await _refcounts.PunchDueAsync(PunchBytesAStep);
        }
        finally
        {
            _meta.Release();
        }
    }
}
