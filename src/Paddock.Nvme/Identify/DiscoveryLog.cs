using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>
/// The discovery log page, 70h (NVMe base 2.0, 5.16.1.23): a header of 1024 bytes, then 1024 bytes for each way to a subsystem.
/// </summary>
/// <remarks>
/// <code>
/// header:  0 8 GENCTR, 8 8 NUMREC, 16 2 RECFMT
/// entry:   0 1 TRTYPE (3: TCP)   3 1 TREQ     8  2  ASQSZ     256 256 SUBNQN
///          1 1 ADRFAM            4 2 PORTID   10 2  EFLAGS    512 256 TRADDR
///          2 1 SUBTYPE           6 2 CNTLID   32 32 TRSVCID   768 256 TSAS (0: security)
/// </code>
/// </remarks>
internal static class DiscoveryLog
{
    /// <summary>The name that every discovery subsystem has.</summary>
    public const string WellKnownNqn = "nqn.2014-08.org.nvmexpress.discovery";

    /// <summary>Bytes of the header and of an entry.</summary>
    public const int EntrySize = 1024;

    private const byte Tcp = 3, IPv4 = 1, IPv6 = 2, CurrentDiscovery = 3, NvmSubsystem = 2;
    private const ushort AnyController = 0xFFFF, AdminQueueEntries = 32;

    /// <summary>The whole page.</summary>
    /// <param name="generation">Changes with the list.</param>
    /// <param name="address">Address at which the host connected, and at which it reaches the subsystems.</param>
    /// <param name="subsystems">Their names; the discovery subsystem itself comes first.</param>
    public static byte[] Build(ulong generation, IPEndPoint address, IReadOnlyList<string> subsystems)
    {
        var page = new byte[EntrySize * (2 + subsystems.Count)];
        var header = new Fields(page);
        header.U64(0, generation);
        header.U64(8, (ulong)subsystems.Count + 1);
        WriteEntry(page.AsSpan(EntrySize, EntrySize), CurrentDiscovery, address, WellKnownNqn);
        for (int i = 0; i < subsystems.Count; i++)
        {
            WriteEntry(page.AsSpan(EntrySize * (i + 2), EntrySize), NvmSubsystem, address, subsystems[i]);
        }

        return page;
    }

    /// <summary>Reads an entry.</summary>
    /// <returns>Null if it is no subsystem with namespaces, is not reached over TCP, or is malformed.</returns>
    public static DiscoveredSubsystem? ReadEntry(ReadOnlySpan<byte> entry)
    {
        string nqn = Text(entry.Slice(256, 256)), address = Text(entry.Slice(512, 256));
        return entry[0] == Tcp && entry[2] == NvmSubsystem && nqn.Length is > 0 and <= ConnectData.MaxNqn && address.Length > 0
            && ushort.TryParse(Text(entry.Slice(32, 32)), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0
            ? new DiscoveredSubsystem(nqn, address, port) : null;
    }

    // fields end with a zero or are filled up with blanks
    private static string Text(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]).TrimEnd(' ');
    }

    private static void WriteEntry(Span<byte> to, byte kind, IPEndPoint address, string nqn)
    {
        var f = new Fields(to);
        f.U8(0, Tcp);
        f.U8(1, address.AddressFamily == AddressFamily.InterNetworkV6 ? IPv6 : IPv4);
        f.U8(2, kind);
        f.U16(4, 1);
        f.U16(6, AnyController);
        f.U16(8, AdminQueueEntries);
        f.Padded(32, 32, address.Port.ToString(CultureInfo.InvariantCulture));
        f.Terminated(256, 256, nqn);
        f.Padded(512, 256, address.Address.ToString());
    }
}
