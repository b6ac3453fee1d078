using System.Numerics;
using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Number of zones in each condition, per group of zones, so that zones in a rare condition are counted and found among a million without
/// visiting all of them. It costs a change of condition two additions.
/// </summary>
internal sealed class ZoneTally
{
    private const int GroupShift = 7, GroupSize = 1 << GroupShift, Conditions = 16;

    private readonly byte[] _counts;

    /// <param name="conditions">The zones' current conditions; the caller keeps them and passes them to each search.</param>
    public ZoneTally(ReadOnlySpan<byte> conditions)
    {
        _counts = new byte[((conditions.Length + GroupSize - 1) >> GroupShift) * Conditions];
        for (int zone = 0; zone < conditions.Length; zone++)
        {
            _counts[((zone >> GroupShift) * Conditions) + conditions[zone]]++;
        }
    }

    /// <summary>A zone's condition changes.</summary>
    public void Move(int zone, byte from, byte to)
    {
        int group = (zone >> GroupShift) * Conditions;
        _counts[group + from]--;
        _counts[group + to]++;
    }

    /// <summary>How many zones from one on are in some conditions.</summary>
    public int Count(ReadOnlySpan<byte> conditions, int first, ZoneConditionSet which)
    {
        int total = 0, zone = first;
        for (; zone < conditions.Length && (zone & (GroupSize - 1)) != 0; zone++)
        {
            total += which.Has((ZoneCondition)conditions[zone]) ? 1 : 0;
        }

        for (int group = (zone + GroupSize - 1) >> GroupShift; group << GroupShift < conditions.Length; group++)
        {
            total += InGroup(group, which);
        }

        return total;
    }

    /// <summary>The first zone from one on whose condition is in a set; negative if no zone has one.</summary>
    public int Next(ReadOnlySpan<byte> conditions, int from, ZoneConditionSet which)
    {
        for (int zone = from; zone < conditions.Length; zone++)
        {
            if ((zone & (GroupSize - 1)) == 0)
            {
                int group = zone >> GroupShift;
                while (group << GroupShift < conditions.Length && InGroup(group, which) == 0)
                {
                    group++;
                }

                zone = group << GroupShift;
                if (zone >= conditions.Length)
                {
                    break;
                }
            }

            if (which.Has((ZoneCondition)conditions[zone]))
            {
                return zone;
            }
        }

        return -1;
    }

    private int InGroup(int group, ZoneConditionSet which)
    {
        int sum = 0;
        for (uint left = (ushort)which; left != 0; left &= left - 1)
        {
            sum += _counts[(group * Conditions) + BitOperations.TrailingZeroCount(left)];
        }

        return sum;
    }
}
