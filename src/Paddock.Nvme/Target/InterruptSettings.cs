using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>
/// Interrupt Coalescing (feature 08h) and Interrupt Vector Configuration (feature 09h) of a controller with interrupts (NVMe base 2.0,
/// 5.27.1.6 and 5.27.1.7). Set by admin commands, read by the worker that raises interrupts.
/// </summary>
/// <param name="vectors">Number of interrupt vectors.</param>
internal sealed class InterruptSettings(int vectors)
{
    /// <summary>Identifiers of the features.</summary>
    public const byte Coalescing = 0x08, VectorConfiguration = 0x09;

    private const uint Disabled = 1 << 16;

    private readonly bool[] _notCoalesced = new bool[vectors];
    private volatile uint _coalescing;

    /// <summary>Completions (0's based) in 7:0 and time in units of 100 microseconds in 15:8.</summary>
    public uint Aggregation => _coalescing;

    /// <summary>Whether completions of a vector may share an interrupt. Those of the admin queue may not.</summary>
    public bool IsCoalesced(int vector) => vector != 0 && !Volatile.Read(ref _notCoalesced[vector]);

    /// <summary>Bits of a value that the default value has as well: the number of the vector.</summary>
    public static uint DefaultBits(byte feature) => feature == VectorConfiguration ? 0xFFFFu : 0;

    /// <summary>Runs Set Features with one of the two features.</summary>
    public NvmeStatus Set(byte feature, uint value)
    {
        if (feature == Coalescing)
        {
            _coalescing = value & 0xFFFF;
            return NvmeStatus.Success;
        }

        uint vector = value & 0xFFFF;
        if (vector >= _notCoalesced.Length)
        {
            return NvmeStatus.InvalidField;
        }

        Volatile.Write(ref _notCoalesced[vector], (value & Disabled) != 0);
        return NvmeStatus.Success;
    }

    /// <summary>Runs Get Features with one of the two; null when the vector in <paramref name="dword11"/> does not exist.</summary>
    public uint? Get(byte feature, uint dword11)
    {
        if (feature == Coalescing)
        {
            return _coalescing;
        }

        uint vector = dword11 & 0xFFFF;
        return vector >= _notCoalesced.Length ? null : vector | (Volatile.Read(ref _notCoalesced[vector]) ? Disabled : 0);
    }
}
