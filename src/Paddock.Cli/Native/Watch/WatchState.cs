using Paddock.Block;

namespace Paddock.Cli.Native.Watch;

/// <summary>What the view shows.</summary>
internal enum WatchPage
{
    /// <summary>The map.</summary>
    Map,

    /// <summary>A list of zones in some order.</summary>
    List,

    /// <summary>One zone.</summary>
    Zone,

    /// <summary>The keys.</summary>
    Help,
}

/// <summary>The order of the list.</summary>
internal enum ZoneOrder
{
    /// <summary>The latest change first.</summary>
    Changed,

    /// <summary>By index.</summary>
    Index,

    /// <summary>Most bytes written first.</summary>
    Written,

    /// <summary>By state, the most important first.</summary>
    State,

    /// <summary>Most writes first.</summary>
    Writes,

    /// <summary>Most resets first.</summary>
    Resets,

    /// <summary>Most reads first.</summary>
    Reads,
}

/// <summary>How the map was drawn last: what the cursor keys mean depends on it.</summary>
/// <param name="Columns">Cells of a row.</param>
/// <param name="Rows">Rows.</param>
/// <param name="PerCell">Zones of a cell.</param>
internal readonly record struct MapLayout(int Columns, int Rows, int PerCell);

/// <summary>What the user has chosen: page, cursor, zoom, filter and order. Keys change it, without any drawing.</summary>
internal sealed class WatchState
{
    private static readonly (string Name, ZoneConditionSet States)[] Filters =
    [
        ("all", ZoneConditionSet.All),
        ("open", ZoneConditionSet.Open),
        ("active", ZoneConditionSet.Open | ZoneConditionSet.Closed),
        ("full", ZoneConditionSet.Full),
        ("empty", ZoneConditionSet.Empty),
        ("retired", ZoneConditionSet.ReadOnly | ZoneConditionSet.Offline),
    ];

    private readonly ZoneFilter _given;
    private readonly Stack<(int First, int Last)> _outer = new();
    private int _filter;
    private int? _last;
    private WatchPage _zoneFrom, _helpFrom;

    /// <param name="given">The filter of the command line.</param>
    public WatchState(ZoneFilter given)
    {
        _given = given;
        (First, _last, Cursor) = (given.First, given.Last, given.First);
    }

    /// <summary>The page.</summary>
    public WatchPage Page { get; private set; }

    /// <summary>First zone of the map.</summary>
    public int First { get; private set; }

    /// <summary>The zone under the cursor, or the first one of the cell under it.</summary>
    public int Cursor { get; set; }

    /// <summary>Selected line of the list.</summary>
    public int ListLine { get; private set; }

    /// <summary>Order of the list.</summary>
    public ZoneOrder Order { get; private set; }

    /// <summary>Whether the view stands still.</summary>
    public bool IsPaused { get; private set; }

    /// <summary>Whether the user has had enough.</summary>
    public bool IsOver { get; private set; }

    /// <summary>States that are shown.</summary>
    public ZoneConditionSet States => _given.States & Filters[_filter].States;

    /// <summary>Name of the filter.</summary>
    public string FilterName => Filters[_filter].Name;

    /// <summary>Set by the map when it is drawn.</summary>
    public MapLayout Layout { get; set; } = new(1, 1, 1);

    /// <summary>Last zone of the map on a disk.</summary>
    public int LastOf(int zoneCount) => Math.Min(_last ?? zoneCount - 1, zoneCount - 1);

    /// <summary>Changes the state by a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="zoneCount">Zones of the disk.</param>
    public void Press(Key key, int zoneCount)
    {
        switch (key)
        {
            case Key.Quit:
                IsOver = true;
                break;
            case Key.Help:
                (Page, _helpFrom) = Page == WatchPage.Help ? (_helpFrom, _helpFrom) : (WatchPage.Help, Page);
                break;
            case Key.Pause:
                IsPaused = !IsPaused;
                break;
            case Key.Filter:
                _filter = (_filter + 1) % Filters.Length;
                break;
            case Key.Unfilter:
                _filter = 0;
                break;
            case Key.Map:
                Page = WatchPage.Map;
                break;
            case Key.Sort:
                Order = Page == WatchPage.List ? (ZoneOrder)(((int)Order + 1) % (1 + (int)ZoneOrder.Reads)) : Order;
                (Page, ListLine) = (WatchPage.List, 0);
                break;
            case Key.In:
                ZoomIn(zoneCount);
                break;
            case Key.Out:
                ZoomOut();
                break;
            default:
                Move(key, zoneCount);
                break;
        }
    }

    private void ZoomIn(int zoneCount)
    {
        if (Page == WatchPage.Map && Layout.PerCell > 1)
        {
            // the rows around the cursor, with as many cells as the map has now
            _outer.Push((First, LastOf(zoneCount)));
            long cells = (long)Layout.Columns * Layout.Rows;
            int perCell = Math.Max(1, Layout.PerCell / 16);
            long span = cells * perCell;
            long row = (long)perCell * Layout.Columns;
            long first = Math.Max(_given.First, (Cursor - (span / 2)) / row * row);
            (First, _last) = ((int)first, (int)Math.Min(first + span - 1, zoneCount - 1));
        }
        else if (Page is WatchPage.Map or WatchPage.List)
        {
            (_zoneFrom, Page) = (Page, WatchPage.Zone);
        }
    }

    private void ZoomOut()
    {
        if (Page != WatchPage.Map)
        {
            Page = Page == WatchPage.Zone ? _zoneFrom : Page == WatchPage.Help ? _helpFrom : WatchPage.Map;
        }
        else if (_outer.TryPop(out var outer))
        {
            (First, _last) = _outer.Count == 0 ? (_given.First, _given.Last) : (outer.First, outer.Last);
        }
    }

    private void Move(Key key, int zoneCount)
    {
        int step = Page == WatchPage.Map ? Layout.PerCell : 1, row = Page == WatchPage.Map ? step * Layout.Columns : 1;
        long page = Math.Max(1, Layout.Rows - 1) * row;
        long by = key switch
        {
            Key.Left => -step,
            Key.Right => step,
            Key.Up => -row,
            Key.Down => row,
            Key.PageUp => -page,
            Key.PageDown => page,
            Key.Home => int.MinValue,
            Key.End => int.MaxValue,
            _ => 0,
        };
        if (Page == WatchPage.List)
        {
            ListLine = (int)Math.Clamp(ListLine + by, 0, Math.Min(ListPanel.MaxLines, zoneCount) - 1);
        }
        else
        {
            Cursor = (int)Math.Clamp(Cursor + by, First, Math.Max(First, LastOf(zoneCount)));
        }
    }
}
