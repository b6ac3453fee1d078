using System.Buffers.Binary;
using System.Text;

namespace Paddock.Nvme.Wire;

/// <summary>The data of a Connect command (NVMe base 2.0, 6.3).</summary>
/// <remarks>
/// <code>
/// 0    16   HOSTID
/// 16   2    CNTLID   FFFFh: the controller is to be chosen; for I/O queues the one of the admin queue
/// 256  256  SUBNQN   UTF-8, ended by a zero
/// 512  256  HOSTNQN
/// </code>
/// </remarks>
internal sealed record ConnectData(UInt128 HostId, ushort ControllerId, string SubsystemNqn, string HostNqn)
{
    /// <summary>Bytes.</summary>
    public const int Size = 1024;

    /// <summary>Offset of CNTLID, for a refusal.</summary>
    public const ushort ControllerIdField = 16;

    /// <summary>Offset of SUBNQN.</summary>
    public const ushort SubsystemField = 256;

    /// <summary>Offset of HOSTNQN.</summary>
    public const ushort HostField = 512;

    /// <summary>The controller is to be chosen by the subsystem.</summary>
    public const ushort AnyController = 0xFFFF;

    /// <summary>Longest qualified name, in bytes without its zero.</summary>
    public const int MaxNqn = 223;

    private const int NqnField = 256;

    /// <summary>Reads 1024 bytes; a name that is too long or no UTF-8 is read as null.</summary>
    public static (UInt128 HostId, ushort ControllerId, string? SubsystemNqn, string? HostNqn) Read(ReadOnlySpan<byte> from) => (
        BinaryPrimitives.ReadUInt128LittleEndian(from),
        BinaryPrimitives.ReadUInt16LittleEndian(from[ControllerIdField..]),
        ReadNqn(from.Slice(SubsystemField, NqnField)),
        ReadNqn(from.Slice(HostField, NqnField)));

    /// <summary>Writes 1024 bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..Size].Clear();
        BinaryPrimitives.WriteUInt128LittleEndian(to, HostId);
        BinaryPrimitives.WriteUInt16LittleEndian(to[ControllerIdField..], ControllerId);
        Encoding.UTF8.GetBytes(SubsystemNqn, to.Slice(SubsystemField, MaxNqn));
        Encoding.UTF8.GetBytes(HostNqn, to.Slice(HostField, MaxNqn));
    }

    private static string? ReadNqn(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        return end is <= 0 or > MaxNqn || !System.Text.Unicode.Utf8.IsValid(field[..end]) ? null : Encoding.UTF8.GetString(field[..end]);
    }
}
