namespace Paddock.Serving.Tests;

public class LatencyTests
{
    // the origin of the clock: long enough ago for the last class
    private const long Start = 0;

    [Fact]
    public void Request_is_counted_for_its_operation_and_duration()
    {
        var table = new LatencyTable();
        table.Count(ServedOperation.Read, Start);
        Assert.Equal(1, table.CountsOf(ServedOperation.Read)[^1]);
        Assert.Equal(1, table.CountsOf(ServedOperation.Read).Sum());
        Assert.Equal(0, table.CountsOf(ServedOperation.Write).Sum());
        Assert.True(table.SumOf(ServedOperation.Read) > TimeSpan.Zero);
        Assert.Equal(TimeSpan.Zero, table.SumOf(ServedOperation.Write));
    }

    [Fact]
    public void Operations_can_be_summed()
    {
        var table = new LatencyTable();
        table.Count(ServedOperation.Trim, Start);
        table.Count(ServedOperation.Zeroes, Start);
        table.Count(ServedOperation.Admin, Start);
        Assert.Equal(2, table.CountsOf(ServedOperation.Trim, ServedOperation.Zeroes).Sum());
        Assert.Equal(3, table.Requests);
        Assert.Equal(table.SumOf(ServedOperation.Trim, ServedOperation.Zeroes, ServedOperation.Admin), table.Total);
    }

    [Fact]
    public void Ledger_keeps_what_closed_tables_counted()
    {
        var ledger = new LatencyLedger();
        var (first, second) = (ledger.Open(), ledger.Open());
        first.Count(ServedOperation.Read, Start);
        second.Count(ServedOperation.Read, Start);
        ledger.Close(first);
        ledger.Close(first);
        second.Count(ServedOperation.Read, Start);
        Assert.Equal(3, ledger.Sum().Requests);
        ledger.Close(second);
        Assert.Equal(3, ledger.Sum().Requests);
    }
}
