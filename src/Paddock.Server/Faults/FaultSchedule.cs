using Paddock.Images;
using Paddock.Server.Disks;

namespace Paddock.Server.Faults;

/// <summary>Runs the commands of scripts when they are due.</summary>
internal sealed class FaultSchedule : IDisposable
{
    private readonly FaultCommands _commands;
    private readonly IReadOnlyList<ServedDisk> _disks;
    private readonly ServeLog _log;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly Queue<ScriptedFault> _byCount;
    private readonly IReadOnlyList<ScriptedFault> _lines;
    private long _count, _next;

    /// <param name="lines">The commands of all scripts, in order.</param>
    /// <param name="commands">Executes the commands.</param>
    /// <param name="disks">Disks whose requests are counted.</param>
    /// <param name="log">Receives the result of each command.</param>
    /// <param name="time">The clock.</param>
    public FaultSchedule(
        IReadOnlyList<ScriptedFault> lines, FaultCommands commands, IReadOnlyList<ServedDisk> disks, ServeLog log, TimeProvider time)
    {
        _lines = lines;
        _commands = commands;
        _disks = disks;
        _log = log;
        _time = time;
        _byCount = new Queue<ScriptedFault>(lines.Where(l => l.AtCommand is not null).OrderBy(l => l.AtCommand));
    }

    /// <summary>Runs the commands without a time, and schedules the others.</summary>
    /// <exception cref="ToolException">A command without a time failed.</exception>
    public async Task StartAsync()
    {
        foreach (var line in _lines.Where(l => l.After is null && l.AtCommand is null))
        {
            string answer = await RunAsync(line);
            if (!answer.StartsWith("ok", StringComparison.Ordinal))
            {
                throw new ToolException($"{line.Place}: {answer["error: ".Length..]}");
            }
        }

        foreach (var line in _lines.Where(l => l.After is not null))
        {
            _ = LaterAsync(line);
        }

        if (_byCount.Count > 0)
        {
            _next = _byCount.Peek().AtCommand!.Value;
            Count(true);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Count(false);
        _stop.Cancel();
        _stop.Dispose();
    }

    private void Count(bool counts)
    {
        foreach (var disk in _disks)
        {
            if (counts)
            {
                disk.Faults.Requested += CountOne;
            }
            else
            {
                disk.Faults.Requested -= CountOne;
            }
        }
    }

    private void CountOne()
    {
        long count = Interlocked.Increment(ref _count);
        if (count < Volatile.Read(ref _next))
        {
            return;
        }

        var due = new List<ScriptedFault>();
        lock (_lock)
        {
            while (_byCount.TryPeek(out var first) && first.AtCommand <= count)
            {
                due.Add(_byCount.Dequeue());
            }

            Volatile.Write(ref _next, _byCount.TryPeek(out var next) ? next.AtCommand!.Value : long.MaxValue);
            if (_byCount.Count == 0)
            {
                Count(false);
            }
        }

        if (due.Count > 0)
        {
            _ = Task.Run(async () =>
            {
                foreach (var line in due)
                {
                    await RunAsync(line);
                }
            });
        }
    }

    private async Task LaterAsync(ScriptedFault line)
    {
        try
        {
            await Task.Delay(line.After!.Value, _time, _stop.Token);
            await RunAsync(line);
        }
        catch (OperationCanceledException)
        {
            // the server is stopping
        }
    }

    private async Task<string> RunAsync(ScriptedFault line)
    {
        string answer = await _commands.ExecuteAsync(line.Text);
        _log.Write("script", ("source", line.Place), ("line", line.Text), ("answer", answer));
        return answer;
    }
}
