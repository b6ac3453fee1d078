namespace Paddock.Server.Tracing;

/// <summary>
/// Gives requests that overlap in time different lanes: events of one lane in the trace must not overlap. Requests come in the order in
/// which they ended, so that there are about as many lanes as requests in flight.
/// </summary>
internal sealed class TraceLanes
{
    private const int MaxLanes = 1024;

    private readonly Dictionary<int, List<long>> _ends = [];

    /// <summary>Takes a lane; those beyond the limit share the last.</summary>
    /// <param name="disk">Index of the disk, which has lanes of its own.</param>
    /// <param name="start">When the request started.</param>
    /// <param name="end">When it ended.</param>
    public int Take(int disk, long start, long end)
    {
        if (!_ends.TryGetValue(disk, out var ends))
        {
            _ends[disk] = ends = [];
        }

        int lane = ends.FindIndex(last => last <= start);
        if (lane < 0 && ends.Count < MaxLanes)
        {
            ends.Add(0);
        }

        lane = lane < 0 ? ends.Count - 1 : lane;
        ends[lane] = Math.Max(ends[lane], end);
        return lane;
    }
}
