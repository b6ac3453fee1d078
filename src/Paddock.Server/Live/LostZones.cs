using System.Globalization;
using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>Reports zones that became read-only or offline as events, consecutive ones together.</summary>
/// <param name="image">Name of the disk.</param>
/// <param name="events">Receives the events.</param>
internal sealed class LostZones(string image, RecentEvents events)
{
    private const int MaxEvents = 16;

    private int _first, _count, _sent;
    private ZoneCondition _condition;

    /// <summary>Adds a zone.</summary>
    public void Add(int zone, ZoneCondition condition)
    {
        if (_count > 0 && zone == _first + _count && condition == _condition)
        {
            _count++;
            return;
        }

        Send();
        (_first, _count, _condition) = (zone, 1, condition);
    }

    /// <summary>Ends a look at the zones.</summary>
    public void End()
    {
        Send();
        _sent = 0;
    }

    private void Send()
    {
        if (_count > 0 && _sent++ < MaxEvents)
        {
            string first = Text(_first), last = Text(_first + _count - 1);
            events.Add(
                _condition == ZoneCondition.Offline ? "zone offline" : "zone read-only",
                [("image", image), ("zones", _count == 1 ? first : $"{first}-{last}")]);
        }

        _count = 0;
    }

    private static string Text(int zone) => zone.ToString(CultureInfo.InvariantCulture);
}
