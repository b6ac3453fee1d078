using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>SMART / Health Information, log 02h (NVMe base 2.0, 5.16.1.3); numbers have 16 bytes where nothing else is said.</summary>
/// <remarks>
/// <code>
/// 0   critical warning (1): bit 1, temperature     32   data units read         96   busy time, minutes
/// 1   temperature, kelvin (2)                      48   data units written      112  power cycles
/// 3   available spare, percent (1)                 64   read commands           128  power on hours
/// 4   its threshold, percent (1)                   80   write commands          144  unsafe shutdowns
/// 5   percentage used (1)                          160  media errors            176  entries that the error log ever had
/// </code>
/// A data unit is 1000 times 512 bytes, rounded up. An image does not wear out: all of its spare is available, and nothing is used.
/// </remarks>
internal static class SmartLog
{
    /// <summary>Bytes.</summary>
    public const int Size = 512;

    private const int DataUnit = 512_000;
    private const byte TemperatureWarning = 2;

    /// <summary>The page.</summary>
    /// <param name="controller">The controller.</param>
    /// <param name="forgetsEvent">Whether a health event may be reported again.</param>
    public static byte[] Of(Controller controller, bool forgetsEvent = false)
    {
        var page = new byte[Size];
        var f = new Fields(page);
        var totals = controller.Subsystem.Health.Totals();
        f.U8(0, controller.Features.Temperatures.IsExceeded ? TemperatureWarning : (byte)0);
        f.U16(1, TemperatureThresholds.Temperature);
        f.U8(3, 100);
        f.U8(4, 10);
        f.U128(32, Units(totals.BytesRead));
        f.U128(48, Units(totals.BytesWritten));
        f.U128(64, (UInt128)totals.Reads);
        f.U128(80, (UInt128)totals.Writes);
        f.U128(96, (UInt128)totals.Busy.TotalMinutes);
        f.U128(112, (UInt128)totals.PowerCycles);
        f.U128(128, (UInt128)totals.PowerOn.TotalHours);
        f.U128(144, (UInt128)totals.UnsafeShutdowns);
        f.U128(160, (UInt128)totals.MediaErrors);
        f.U128(176, controller.Errors.Count);
        if (forgetsEvent)
        {
            controller.Events.ForgetHealth();
        }

        return page;
    }

    private static UInt128 Units(long bytes) => (UInt128)((bytes + DataUnit - 1) / DataUnit);
}
