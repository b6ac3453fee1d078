using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>Host Behavior Support, feature 16h (NVMe base 2.0, figure 345): what a host declares to support.</summary>
/// <remarks>
/// <code>
/// 0   1  ACRE    advanced command retry: the host obeys retry delays
/// 1   1  ETDAS   telemetry data area 4
/// 2   1  LBAFEE  extended block formats
/// 3   1  HDISNS  dispersed namespaces
/// 4   2  CDFE    bit n: copy descriptor format n may be used, n from 2 on
/// </code>
/// </remarks>
/// <param name="RetryDelays">ACRE.</param>
/// <param name="TelemetryArea4">ETDAS.</param>
/// <param name="CopyFormats">CDFE.</param>
internal readonly record struct HostBehavior(bool RetryDelays, bool TelemetryArea4, ushort CopyFormats)
{
    /// <summary>Bytes.</summary>
    public const int Size = 512;

    private const ushort KnownCopyFormats = (1 << 2) | (1 << 3) | (1 << 4);

    /// <summary>Whether a copy descriptor format may be used: 0 and 1 always, others if the host has declared it.</summary>
    public bool AllowsCopyFormat(int format) => format is 0 or 1 || (CopyFormats >> format & 1) != 0;

    /// <summary>Reads 512 bytes.</summary>
    /// <returns>Null if a field has a reserved value, or declares what this controller does not have.</returns>
    public static HostBehavior? Read(ReadOnlySpan<byte> from)
    {
        ushort formats = BinaryPrimitives.ReadUInt16LittleEndian(from[4..]);
        return from[0] > 1 || from[1] > 1 || from[2] != 0 || from[3] > 1 || (formats & ~KnownCopyFormats) != 0
            ? null : new HostBehavior(from[0] == 1, from[1] == 1, formats);
    }

    /// <summary>Writes 512 bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..Size].Clear();
        to[0] = (byte)(RetryDelays ? 1 : 0);
        to[1] = (byte)(TelemetryArea4 ? 1 : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(to[4..], CopyFormats);
    }
}
