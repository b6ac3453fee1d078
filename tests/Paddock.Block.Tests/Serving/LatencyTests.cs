using System.Diagnostics;
using Paddock.Block.Serving;

namespace Paddock.Block.Tests;

public class LatencyTests
{
    [Fact]
    public void Request_is_counted_in_the_class_of_its_operation_and_duration()
    {
        var table = new LatencyTable();
        long hour = 3600 * Stopwatch.Frequency;
        table.Count(ServedOperation.Read, Stopwatch.GetTimestamp() - hour);
        table.Count(ServedOperation.Write, Stopwatch.GetTimestamp() + hour);
        Assert.Equal(1, table.CountsOf(ServedOperation.Read)[^1]);
        Assert.Equal(1, table.CountsOf(ServedOperation.Write)[0]);
        Assert.Equal(0, table.CountsOf(ServedOperation.Flush).Sum());
        Assert.True(table.SumOf(ServedOperation.Read) >= TimeSpan.FromHours(1));
    }

    [Fact]
    public void Operations_can_be_summed()
    {
        var table = new LatencyTable();
        table.Count(ServedOperation.Trim, Stopwatch.GetTimestamp());
        table.Count(ServedOperation.Zeroes, Stopwatch.GetTimestamp());
        table.Count(ServedOperation.Admin, Stopwatch.GetTimestamp());
        Assert.Equal(2, table.CountsOf(ServedOperation.Trim, ServedOperation.Zeroes).Sum());
        Assert.Equal(3, table.Requests);
        Assert.Equal(table.SumOf(ServedOperation.Trim, ServedOperation.Zeroes, ServedOperation.Admin), table.Total);
    }

    [Fact]
    public void Ledger_keeps_what_closed_tables_counted()
    {
        var ledger = new LatencyLedger();
        var (first, second) = (ledger.Open(), ledger.Open());
        first.Count(ServedOperation.Read, Stopwatch.GetTimestamp());
        second.Count(ServedOperation.Read, Stopwatch.GetTimestamp());
        ledger.Close(first);
        ledger.Close(first);
        second.Count(ServedOperation.Read, Stopwatch.GetTimestamp());
        Assert.Equal(3, ledger.Sum().Requests);
        ledger.Close(second);
        Assert.Equal(3, ledger.Sum().Requests);
    }
}
