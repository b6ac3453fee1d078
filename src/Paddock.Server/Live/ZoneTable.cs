namespace Paddock.Server.Live;

/// <summary>What the live feed knows of each zone: its condition, the bytes written, and when either was last seen to change.</summary>
/// <param name="zones">Number of zones.</param>
internal sealed class ZoneTable(int zones)
{
    /// <summary>Number of zones.</summary>
    public int Zones => zones;

    /// <summary>Condition of each zone, as its number in reports.</summary>
    public byte[] Condition { get; } = new byte[zones];

    /// <summary>Bytes written of each zone, from its start.</summary>
    public long[] Written { get; } = new long[zones];

    /// <summary>The look at which each zone was last seen to change; 0: never looked at.</summary>
    public uint[] Stamp { get; } = new uint[zones];

    /// <summary>Copies the zones that another table has too.</summary>
    public void CopyFrom(ZoneTable before)
    {
        int common = Math.Min(zones, before.Zones);
        Array.Copy(before.Condition, Condition, common);
        Array.Copy(before.Written, Written, common);
        Array.Copy(before.Stamp, Stamp, common);
    }
}
