using Paddock.Block;
using Paddock.Faults;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Fails requests under an image at named events. After any failure the image is consistent (leaks aside), flushed data is present, and the
/// image can be reopened.
/// </summary>
internal sealed class ErrorsRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector;
    private const int OpsInRound = 12;

    private ImageRecipe _recipe = null!;
    private PagedStorage _storage = null!;
    private CheckedDevice _device = null!;

    /// <summary>Versions that each sector may read as; the last one is expected.</summary>
    private List<uint>[] _allowed = [];

    private uint _version = 1_000_000;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        _recipe = await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 4096, 65536);
        Trace(_recipe.ToString());
        _storage = await _recipe.BuildAsync();
        _allowed = [.. _recipe.Start.Select(version => new List<uint> { version })];
        for (int done = 0; done < Options.Ops; done += OpsInRound)
        {
            await RoundAsync();
            await JudgeAsync();
        }
    }

    // one session with one or two pending faults
    private async Task RoundAsync()
    {
        var rules = Enumerable.Range(0, Random.Next(1, 3)).Select(_ => Rule()).ToArray();
        Trace($"round with {string.Join(" and ", rules.Select(r => $"{r.Event} errno {r.Errno}{(r.Once ? " once" : "")} {r.Io}"))}");
        var faults = new FaultStorage(_storage, rules);
        try
        {
            _device = await _recipe.OpenAsync(faults);
        }
        catch (BlockException e)
        {
            Trace($"opening failed: {e.Message}");
            return;
        }

        for (int i = 0; i < OpsInRound; i++)
        {
            await StepAsync();
        }

        try
        {
            await _device.DisposeAsync();
        }
        catch (BlockException e)
        {
            Trace($"closing failed: {e.Message}");
        }
    }

    private InjectErrorRule Rule()
    {
        bool space = Random.Next(2) == 0;
        string[] events = [.. FaultEvents.All.Order(StringComparer.Ordinal)];
        return new InjectErrorRule
        {
            Event = events[Random.Next(events.Length)],
            Errno = space ? 28 : 5,
            Error = space ? BlockError.NoSpace : BlockError.Io,
            Once = Random.Next(3) != 0,
            Io = Pick(FaultIo.Default, FaultIo.Default, FaultIo.Write, FaultIo.Flush, FaultIo.Read),
        };
    }

    private async Task StepAsync()
    {
        int first = Random.Next(_allowed.Length);
        int count = Math.Min(1 + Random.Next(Random.Next(4) == 0 ? 200 : 12), _allowed.Length - first);
        int kind = Random.Next(100);
        long offset = (long)first * Sector;
        int length = count * Sector;
        Trace($"{kind}: {offset} {length}");
        switch (kind)
        {
            case < 50:
                uint version = ++_version;
                await ChangeAsync(first, count, version, () => _device.WriteAsync(offset, SectorPattern.Make(offset, length, version)));
                break;
            case < 65:
                await ChangeAsync(
                    first, count, 0, () => _device.WriteZeroesAsync(offset, length, Pick(ZeroFlags.None, ZeroFlags.MayUnmap)));
                break;
            case < 85:
                await FlushAsync();
                break;
            default:
                await ReadAsync(_device, first, count);
                break;
        }
    }

    private async Task ChangeAsync(int first, int count, uint version, Func<ValueTask> request)
    {
        bool done = await TryAsync(request);
        for (int sector = first; sector < first + count; sector++)
        {
            // a failed request may have changed a part: the older value stays last, as the expected one
            _allowed[sector].Insert(done ? _allowed[sector].Count : 0, version);
            if (!done)
            {
                _failed.Add(sector);
            }
            else
            {
                _failed.Remove(sector);
            }
        }
    }

    private readonly HashSet<int> _failed = [];

    private async Task FlushAsync()
    {
        if (!await TryAsync(() => _device.FlushAsync()))
        {
            return;
        }

        for (int sector = 0; sector < _allowed.Length; sector++)
        {
            if (!_failed.Contains(sector) && _allowed[sector].Count > 1)
            {
                _allowed[sector].RemoveRange(0, _allowed[sector].Count - 1);
            }
        }
    }

    private async Task ReadAsync(CheckedDevice device, int first, int count, bool settle = false)
    {
        byte[] found = new byte[count * Sector];
        if (!await TryAsync(() => device.ReadAsync((long)first * Sector, found)))
        {
            SimFailure.Unless(!settle, "the image cannot be read any more");
            return;
        }

        for (int i = 0; i < count; i++)
        {
            long version = SectorPattern.Identify(found.AsSpan(i * Sector, Sector), (long)(first + i) * Sector);
            SimFailure.Unless(
                version >= 0 && _allowed[first + i].Contains((uint)version),
                $"sector {first + i} reads as {version}, allowed are {string.Join(", ", _allowed[first + i])}");
            if (settle)
            {
                _allowed[first + i] = [(uint)version];
            }
        }
    }

    // without faults, the image is consistent, opens, and holds only permitted data
    private async Task JudgeAsync()
    {
        if (!_recipe.Create.LazyRefcounts)
        {
            await CheckAsync(_storage, leaksAllowed: true, "after failed requests");
        }

        var device = await _recipe.OpenAsync(_storage);
        await ReadAsync(device, 0, _allowed.Length, settle: true);
        _failed.Clear();
        await device.DisposeAsync();
        await CheckAsync(_storage, leaksAllowed: true, "after the next opening");
    }

    private async Task<bool> TryAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (BlockException e)
        {
            Trace($"failed: {e.Message}");
            return false;
        }
    }
}
