using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>The drives of a farm; removed when disposed unless they are kept.</summary>
/// <param name="place">Where they are.</param>
/// <param name="keeps">Whether they are kept.</param>
/// <param name="console">Receives warnings and progress.</param>
internal sealed class FarmDrives(IDrivePlace place, bool keeps, NativeConsole console) : IAsyncDisposable
{
    private string[] _names = [];
    private bool[] _areMade = [];

    /// <summary>The drives, in order.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>Their format.</summary>
    public string Format { get; private set; } = "";

    /// <summary>Checks that the process may open as many files as a farm needs.</summary>
    /// <param name="count">Number of drives.</param>
    /// <param name="ofDrive">Files of one drive.</param>
    /// <exception cref="ToolException">It may not; the message has the limit and the number.</exception>
    public static void CheckOpenFiles(int count, int ofDrive)
    {
        // beside those: sockets, the log, the runtime's own, clients of a cluster
        int needed = (ofDrive * count) + 128;
        if (ServerSockets.MaxOpenFiles() is { } limit && limit < needed)
        {
            throw new ToolException(
                $"--count {count}: {count} drives need about {needed} open files, and the limit is {limit}; raise it with "
                + $"'ulimit -n {needed}' as root, or LimitNOFILE= in a systemd unit");
        }
    }

    /// <summary>Makes the drives <c>STEM-FIRST</c> and so on.</summary>
    /// <param name="maker">Makes them.</param>
    /// <param name="stem">What their names begin with.</param>
    /// <param name="first">Number of the first.</param>
    /// <param name="count">How many.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ToolException">One cannot be made.</exception>
    /// <exception cref="BlockException">One cannot be made.</exception>
    public async Task MakeAsync(IDriveMaker maker, string stem, int first, int count, CancellationToken cancellationToken)
    {
        Format = maker.Format;
        _areMade = new bool[count];
        _names = [.. Enumerable.Range(first, count).Select(n => place.NameOf(string.Create(CultureInfo.InvariantCulture, $"{stem}-{n}")))];
        int made = 0;
        await ForAllAsync(
            async (i, stop) =>
            {
                await maker.MakeAsync(_names[i], stop);
                _areMade[i] = true;
                console.Progress("creating drives", (double)Interlocked.Increment(ref made) / count);
            },
            cancellationToken);
        console.EndProgress();
    }

    /// <summary>Removes the drives unless they are kept; those that cannot be removed are reported.</summary>
    public async ValueTask DisposeAsync()
    {
        if (keeps)
        {
            return;
        }

        await ForAllAsync(
            async (i, _) =>
            {
                if (_areMade[i])
                {
                    await RemoveAsync(_names[i]);
                }
            },
            CancellationToken.None);
        place.Dispose();
    }

    private async Task ForAllAsync(Func<int, CancellationToken, ValueTask> body, CancellationToken cancellationToken)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = place.AtOnce, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, _names.Length, options, body);
    }

    private async ValueTask RemoveAsync(string name)
    {
        try
        {
            await place.RemoveAsync(name);
        }
        catch (BlockException e)
        {
            console.Tell($"'{name}' is left: {e.Message}");
        }
    }
}
