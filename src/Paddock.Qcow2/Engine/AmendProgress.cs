namespace Paddock.Qcow2.Engine;

/// <summary>
/// The share done of an amendment of several operations, which tell their size only when they begin: as many units again are assumed
/// for each that has not begun.
/// </summary>
/// <param name="operations">How many operations there are.</param>
/// <param name="report">Receives units done and units in all.</param>
internal sealed class AmendProgress(int operations, Action<long, long>? report)
{
    private long _before;
    private long _units;
    private int _completed = -1;

    /// <summary>The next operation begins.</summary>
    public void Next()
    {
        _before += _units;
        _units = 0;
        _completed++;
    }

    /// <summary>Units done of the operation, and its size.</summary>
    public void Report(long done, long units)
    {
        _units = units;
        long known = _before + units;
        long assumed = known / (_completed + 1) * Math.Max(0, operations - _completed - 1);
        report?.Invoke(_before + done, known + assumed);
    }
}
