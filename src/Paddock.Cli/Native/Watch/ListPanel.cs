using Paddock.Images.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>Zones in an order, a line each.</summary>
internal static class ListPanel
{
    /// <summary>Lines that can be reached: more cannot be looked through.</summary>
    public const int MaxLines = 4096;

    /// <summary>Draws the list and puts the cursor on its selected zone.</summary>
    public static void Draw(Frame frame, int y, int height, WatchModel model, WatchState state, bool blocks)
    {
        var zones = model.Zones;
        int rows = Math.Max(1, height - 1), start = Math.Max(0, state.ListLine - rows + 1);
        int[] order = Top(model, state, Math.Min(start + rows, MaxLines));
        int bar = Math.Clamp(frame.Width - 82, 8, 40);
        int after = 9 + bar + 9 + 15 + 2;
        frame.TextBefore(8, y, "zone", Style.Bold);
        frame.Text(9 + bar + 9, y, "state", Style.Bold);
        frame.Text(after, y, "written", Style.Bold);
        if (model.HasRequests)
        {
            frame.TextBefore(after + 22, y, "writes", Style.Bold);
            frame.TextBefore(after + 30, y, "resets", Style.Bold);
            frame.TextBefore(after + 38, y, "reads", Style.Bold);
        }

        for (int i = start; i < order.Length; i++)
        {
            int line = y + 1 + i - start, zone = order[i];
            ZoneLine.Draw(frame, 0, line, zones, zone, bar, blocks);
            var counts = zones.CountsOf(zone);
            frame.Text(after, line, SizeText.Human(zones.WrittenIn(zone)));
            if (model.HasRequests)
            {
                frame.TextBefore(after + 22, line, Human.Count(counts.Writes));
                frame.TextBefore(after + 30, line, Human.Count(counts.Resets));
                frame.TextBefore(after + 38, line, Human.Count(counts.Reads));
            }

            if (i == state.ListLine)
            {
                state.Cursor = zone;
                for (int column = 0; column < 8; column++)
                {
                    frame.Mark(column, line);
                }
            }
        }
    }

    /// <summary>Name of an order.</summary>
    public static string Name(ZoneOrder order) => order switch
    {
        ZoneOrder.Changed => "latest change",
        ZoneOrder.Written => "bytes written",
        _ => order.ToString().ToLowerInvariant(),
    };

    // the first zones of the order, without sorting a million
    private static int[] Top(WatchModel model, WatchState state, int count)
    {
        var filter = ZoneFilter.All with { States = state.States };
        var best = new PriorityQueue<int, (long Key, int Zone)>();
        int last = state.LastOf(model.Zones.Count);
        for (int zone = state.First; zone <= last; zone++)
        {
            if (!filter.Includes(model.Zones.ConditionOf(zone)))
            {
                continue;
            }

            // of equal zones the one with the lower index comes first
            var priority = (KeyOf(model.Zones, state.Order, zone), -zone);
            if (best.Count < count)
            {
                best.Enqueue(zone, priority);
            }
            else if (state.Order == ZoneOrder.Index)
            {
                break;
            }
            else
            {
                best.EnqueueDequeue(zone, priority);
            }
        }

        int[] order = new int[best.Count];
        for (int i = order.Length - 1; i >= 0; i--)
        {
            order[i] = best.Dequeue();
        }

        return order;
    }

    private static long KeyOf(ZoneStore zones, ZoneOrder order, int zone) => order switch
    {
        ZoneOrder.Changed => zones.ChangedAt(zone),
        ZoneOrder.Written => zones.WrittenIn(zone),
        ZoneOrder.State => ZoneNames.Rank(zones.ConditionOf(zone)),
        ZoneOrder.Writes => zones.CountsOf(zone).Writes,
        ZoneOrder.Resets => zones.CountsOf(zone).Resets,
        ZoneOrder.Reads => zones.CountsOf(zone).Reads,
        _ => 0,
    };
}
