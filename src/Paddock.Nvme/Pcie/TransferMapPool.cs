namespace Paddock.Nvme.Pcie;

/// <summary>
/// Maps for commands with data. Those that are kept are few and small: a host must not make each of many thousand commands leave a large
/// one behind. Used by the worker only.
/// </summary>
internal sealed class TransferMapPool
{
    // 1 MiB in pages has 257 parts
    private const int MostKept = 128, LargestKept = 16 << 10;

    private readonly Stack<TransferMap> _free = new();

    /// <summary>Returns an empty map.</summary>
    public TransferMap Rent() => _free.TryPop(out var map) ? map : new TransferMap();

    /// <summary>Takes a map that is no longer used.</summary>
    public void Return(TransferMap map)
    {
        if (_free.Count < MostKept && map.Footprint <= LargestKept)
        {
            map.Clear();
            _free.Push(map);
        }
    }
}
