using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>
/// Persistent Event, log 0Dh, of one controller (NVMe base 2.0, 5.16.1.14). A host establishes a reporting context, which fixes the
/// contents, reads it in pieces, and releases it. LSP in 1:0 has the action: 0, read; 1, establish and read; 2, release; 3, establish and
/// read the header.
/// </summary>
/// <remarks>
/// <code>
/// 0   1  log 0Dh            16  1  revision: 2           28  16 power on hours   56  20 SN        372 2  generation
/// 4   4  number of events   18  2  length of the rest    44  8  power cycles     76  40 MN        374 4  context: bit 18, established
/// 8   8  bytes of the log   20  8  timestamp             52  4  VID, SSVID       116 256 SUBNQN   480 32 supported events, a bitmap
///
/// each event: 0 1 type    2 1 length of the header - 3   4 2 controller   14 2 port    20 2 vendor's length
///             1 1 revision 3 1 whether there is a port   6 8 timestamp    16 4 -       22 2 length of the data
/// </code>
/// </remarks>
internal sealed class EventReport
{
    /// <summary>Bytes of the header.</summary>
    public const int HeaderSize = 512;

    /// <summary>Bytes of the header of an event.</summary>
    public const int EventHeaderSize = 24;

    private const byte Log = 0x0D, ReadOnly = 0, Establish = 1, Release = 2, EstablishHeader = 3;
    private const uint Established = 1u << 18;

    // absolute time, which a host need not have set
    private const ulong AbsoluteOrigin = 1UL << 49;

    private readonly Lock _lock = new();
    private byte[]? _context;
    private ushort _generation;

    /// <summary>Ends the reporting context: the controller has been reset.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _context = null;
        }
    }

    /// <summary>Performs the action of a Get Log Page command.</summary>
    /// <param name="controller">The controller.</param>
    /// <param name="specific">LSP.</param>
    /// <param name="page">The log; null if the status is an error.</param>
    public NvmeStatus Read(Controller controller, byte specific, out byte[]? page)
    {
        lock (_lock)
        {
            int action = specific & 3;
            if (action == Release)
            {
                _context = null;
                page = [];
                return NvmeStatus.Success;
            }

            if ((action == ReadOnly) != (_context is not null))
            {
                page = null;
                return NvmeStatus.CommandSequence;
            }

            _context ??= Build(controller, ++_generation);
            page = action == EstablishHeader ? _context[..HeaderSize] : _context;
            return NvmeStatus.Success;
        }
    }

    private static byte[] Build(Controller controller, ushort generation)
    {
        var events = controller.Subsystem.EventLog.Snapshot();
        var page = new byte[HeaderSize + events.Sum(e => EventHeaderSize + e.Data.Length)];
        var totals = controller.Subsystem.Health.Totals();
        var f = new Fields(page);
        f.U8(0, Log);
        f.U32(4, (uint)events.Length);
        f.U64(8, (ulong)page.Length);
        f.U8(16, 2);
        f.U16(18, HeaderSize - 20);
        f.U64(20, controller.Features.Clock.Read());
        f.U128(28, (UInt128)totals.PowerOn.TotalHours);
        f.U64(44, (ulong)totals.PowerCycles);
        f.Padded(56, 20, controller.Subsystem.SerialNumber);
        f.Padded(76, 40, Controller.Model);
        f.Terminated(116, 256, controller.Subsystem.Nqn);
        f.U16(372, generation);
        f.U32(374, Established);
        foreach (byte type in DriveEventType.All)
        {
            page[480 + (type / 8)] |= (byte)(1 << (type % 8));
        }

        int at = HeaderSize;
        foreach (var known in events)
        {
            var e = new Fields(page.AsSpan(at));
            e.U8(0, known.Type);
            e.U8(1, 1);
            e.U8(2, EventHeaderSize - 3);
            e.U16(4, known.Controller);
            e.U64(6, (ulong)known.Milliseconds | AbsoluteOrigin);
            e.U16(22, (ushort)known.Data.Length);
            e.Bytes(EventHeaderSize, known.Data);
            at += EventHeaderSize + known.Data.Length;
        }

        return page;
    }
}
