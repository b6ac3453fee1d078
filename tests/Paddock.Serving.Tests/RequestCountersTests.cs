namespace Paddock.Serving.Tests;

public class RequestCountersTests
{
    private readonly RequestCounters _counters = new();

    [Fact]
    public void Reads_and_other_operations_move_bytes_in_their_direction()
    {
        _counters.Count(ServedOperation.Read, 10);
        _counters.Count(ServedOperation.Write, 200);
        _counters.Count(ServedOperation.Append, 3000);
        _counters.Count(ServedOperation.Flush);
        Assert.Equal((10, 3200), (_counters.BytesRead, _counters.BytesWritten));
        Assert.Equal(2, _counters.Sum(ServedOperation.Write, ServedOperation.Append));
        Assert.Equal(4, _counters.Requests);
    }

    [Fact]
    public void Failed_request_counts_as_a_request_and_as_no_operation()
    {
        _counters.CountError();
        Assert.Equal((1, 1), (_counters.Errors, _counters.Requests));
        Assert.All(Enum.GetValues<ServedOperation>(), operation => Assert.Equal(0, _counters[operation]));
    }

    [Fact]
    public void Batch_counts_like_its_requests()
    {
        _counters.Count(ServedOperation.Read, requests: 5, bytes: 500);
        _counters.Count(ServedOperation.Read, 100);
        Assert.Equal((6, 600), (_counters[ServedOperation.Read], _counters.BytesRead));
    }

    [Fact]
    public async Task Counts_of_many_threads_add_up()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                _counters.Count(ServedOperation.Write, 2);
            }
        })));
        Assert.Equal((40_000, 80_000), (_counters[ServedOperation.Write], _counters.BytesWritten));
    }
}
