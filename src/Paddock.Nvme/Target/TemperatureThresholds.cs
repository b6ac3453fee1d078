namespace Paddock.Nvme.Target;

/// <summary>
/// Temperature Threshold, feature 04h (NVMe base 2.0, 5.27.1.3): dword 11 has TMPTH in kelvin in 15:0, TMPSEL, the sensor, in 19:16 and
/// THSEL, over or under, in 21:20. An image has no temperature: the only sensor, the composite one, always reports
/// <see cref="Temperature"/>.
/// </summary>
internal sealed class TemperatureThresholds
{
    /// <summary>The temperature that is reported, in kelvin.</summary>
    public const ushort Temperature = 300;

    /// <summary>Default of the upper threshold, and the warning temperature, in kelvin.</summary>
    public const ushort Warning = 343;

    private const uint AllSensors = 15;

    private ushort _over = Warning, _under;

    /// <summary>Whether the temperature is at a threshold or beyond it: bit 1 of the critical warning.</summary>
    public bool IsExceeded => Temperature >= _over || Temperature <= _under;

    /// <summary>Sets a threshold.</summary>
    /// <returns>False if there is no such threshold.</returns>
    public bool Set(uint dword)
    {
        if (!IsKnown(dword, orAll: true))
        {
            return false;
        }

        if (IsUnder(dword))
        {
            _under = (ushort)dword;
        }
        else
        {
            _over = (ushort)dword;
        }

        return true;
    }

    /// <summary>Returns a threshold; null if the sensor has no such threshold.</summary>
    public uint? Get(uint dword, bool current) => !IsKnown(dword, orAll: false) ? null
        : IsUnder(dword) ? current ? _under : 0u : current ? _over : Warning;

    private static bool IsUnder(uint dword) => (dword >> 20 & 3) == 1;

    private static bool IsKnown(uint dword, bool orAll)
        => (dword >> 16 & 15) is var sensor && (sensor == 0 || (orAll && sensor == AllSensors)) && (dword >> 20 & 3) < 2;
}
