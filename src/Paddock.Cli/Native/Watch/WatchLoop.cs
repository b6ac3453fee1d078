using System.Collections.Concurrent;

namespace Paddock.Cli.Native.Watch;

/// <summary>The life of a view: data and keys come in, and at most ten times a second a frame goes out if something has changed.</summary>
/// <param name="model">The data.</param>
/// <param name="state">What the user has chosen.</param>
/// <param name="glyphs">How zones are drawn.</param>
/// <param name="screen">The terminal.</param>
/// <param name="time">The clock.</param>
internal sealed class WatchLoop(WatchModel model, WatchState state, ZoneGlyphs glyphs, IScreen screen, TimeProvider time)
{
    private static readonly TimeSpan Frame = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentQueue<Key> _keys = new();
    private readonly FrameWriter _writer = new(glyphs.Colors);
    private readonly WatchView _view = new(glyphs);
    private WatchModel? _frozen;

    /// <summary>Runs until the user quits.</summary>
    /// <param name="source">Keeps the model current.</param>
    /// <param name="input">Keys.</param>
    /// <param name="cancellationToken">Ends the view.</param>
    public async Task RunAsync(IZoneSource source, Stream input, CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var following = source.FollowAsync(model, over.Token);
        var reading = ReadKeysAsync(input, over.Token);
        try
        {
            using var timer = new PeriodicTimer(Frame, time);
            int drawn = -1;
            do
            {
                bool isBlank = screen.TakeRedraw();
                if (isBlank)
                {
                    _writer.Forget();
                }

                if (TakeKeys() || isBlank || (_frozen is null && drawn != model.Version))
                {
                    drawn = Draw();
                }

                if (following.IsFaulted)
                {
                    await following;
                }
            }
            while (!state.IsOver && await timer.WaitForNextTickAsync(cancellationToken));
        }
        finally
        {
            await over.CancelAsync();
            await Task.WhenAll(following, reading).ContinueWith(static _ => { }, TaskScheduler.Default);
        }
    }

    private bool TakeKeys()
    {
        bool any = false;
        while (_keys.TryDequeue(out var key))
        {
            any = true;
            lock (model.Lock)
            {
                bool wasPaused = state.IsPaused;
                state.Press(key, (_frozen ?? model).Zones.Count);
                if (wasPaused != state.IsPaused)
                {
                    // data keep coming in while the view stands still
                    _frozen = state.IsPaused ? model.Clone() : null;
                }
            }
        }

        return any;
    }

    private int Draw()
    {
        var (width, height) = screen.Size;
        var shown = _frozen ?? model;
        Frame frame;
        int version;
        lock (shown.Lock)
        {
            version = shown.Version;
            frame = _view.Draw(shown, state, width, height);
        }

        string text = _writer.Write(frame);
        if (text.Length > 0)
        {
            screen.Show(text);
        }

        return version;
    }

    private async Task ReadKeysAsync(Stream input, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[64];
        int count;
        while ((count = await input.ReadAsync(bytes, cancellationToken)) > 0)
        {
            foreach (var key in Keys.Parse(bytes[..count]))
            {
                _keys.Enqueue(key);
            }
        }
    }
}
