using Paddock.Block;
using Paddock.Qcow2.Engine;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>The order of a flush, with stages that only note that they were written.</summary>
public sealed class FlushOrderTests : IAsyncDisposable
{
    private readonly RecordingStorage _storage = new();
    private readonly FlushOrder _order;
    private readonly Dictionary<FlushPlace, Stage> _stages = [];

    public FlushOrderTests()
    {
        _order = new FlushOrder(_storage);

        // the order of registration does not matter
        foreach (var place in Enum.GetValues<FlushPlace>().Reverse())
        {
            _stages[place] = new Stage(place.ToString(), _storage.Log);
            _order.Register(place, _stages[place]);
        }
    }

    public ValueTask DisposeAsync() => _storage.DisposeAsync();

    [Fact]
    public async Task Stages_are_written_in_order_with_barriers_between_them()
    {
        SetDue([.. Enum.GetValues<FlushPlace>()]);
        await _order.RunAsync();
        Assert.Equal(
            [
                "InPlace", "Refcounts", "flush_to_disk", "flush", "L2", "flush", "L1", "ZoneAttributes", "flush_to_disk",
                "flush",
                "ZoneTable", "flush", "FreedSpace",
            ],
            Written());
    }

    [Fact]
    public async Task Flush_without_due_stages_makes_data_durable_once()
    {
        await _order.RunAsync();
        Assert.Equal(["flush_to_disk", "flush"], Written());
    }

    [Fact]
    public async Task Every_stage_begins_before_any_is_written()
    {
        SetDue(FlushPlace.InPlace, FlushPlace.ZoneTable);
        await _order.RunAsync();
        Assert.Equal("flush_to_os", _storage.Log[0]);
        Assert.All(_storage.Log.Skip(1).Take(_stages.Count), static line => Assert.StartsWith("begin ", line, StringComparison.Ordinal));
        Assert.Equal(_stages.Count, _storage.Log.Count(static line => line.StartsWith("begin ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Entries_that_refer_to_nothing_new_need_no_barrier()
    {
        SetDue(FlushPlace.L2);
        await _order.WriteTablesAsync();
        Assert.Equal(["L2"], Written());
    }

    [Fact]
    public async Task Entries_that_refer_to_new_data_are_written_after_a_barrier()
    {
        SetDue(FlushPlace.L2);
        _order.RequireBarrier();
        await _order.WriteTablesAsync();
        Assert.Equal(["flush_to_disk", "flush", "L2"], Written());
        _storage.Restart();
        SetDue(FlushPlace.L2);
        await _order.WriteTablesAsync();
        Assert.Equal(["L2"], Written());
    }

    [Theory]
    [InlineData(FlushPlace.InPlace)]
    [InlineData(FlushPlace.Refcounts)]
    [InlineData(FlushPlace.L2)]
    [InlineData(FlushPlace.L1)]
    [InlineData(FlushPlace.ZoneAttributes)]
    [InlineData(FlushPlace.ZoneTable)]
    public async Task Failed_stage_keeps_later_ones_from_being_written_and_is_due_again(object place)
    {
        var failing = (FlushPlace)place;
        SetDue([.. Enum.GetValues<FlushPlace>()]);
        _stages[failing].FailNext = true;
        await Assert.ThrowsAsync<BlockException>(async () => await _order.RunAsync());
        Assert.All(Enum.GetValues<FlushPlace>(), p => Assert.Equal(p >= failing, _stages[p].IsDue));

        _storage.Restart();
        await _order.RunAsync();
        Assert.Equal([.. Enum.GetValues<FlushPlace>().Where(p => p >= failing).Select(static p => p.ToString())], Names());
    }

    [Fact]
    public async Task Barrier_that_failed_comes_before_the_entries_of_the_next_flush()
    {
        SetDue(FlushPlace.Refcounts, FlushPlace.L2);
        _storage.FailNextFlush = true;
        await Assert.ThrowsAsync<BlockException>(async () => await _order.RunAsync());
        Assert.Equal(["Refcounts"], Names());

        _storage.Restart();
        await _order.RunAsync();
        Assert.Equal(["flush_to_disk", "flush", "L2", "flush_to_disk", "flush"], Written());
    }

    private void SetDue(params FlushPlace[] places) => Array.ForEach(places, place => _stages[place].IsDue = true);

    private List<string> Written()
        => [.. _storage.Log.Where(static line => line != "flush_to_os" && !line.StartsWith("begin ", StringComparison.Ordinal))];

    private List<string> Names() => [.. _storage.Log.Where(static line => Enum.TryParse<FlushPlace>(line, out _))];

    private sealed class Stage(string name, List<string> log) : IFlushStage
    {
        public bool IsDue { get; set; }

        public bool FailNext { get; set; }

        public void Begin() => log.Add($"begin {name}");

        public ValueTask WriteAsync()
        {
            if (FailNext)
            {
                FailNext = false;
                throw new BlockException(BlockError.Io, "stage fails");
            }

            log.Add(name);
            IsDue = false;
            return default;
        }
    }
}
