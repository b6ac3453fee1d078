using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Logs;

/// <summary>The Error Information log of one controller: its last commands that failed (NVMe base 2.0, 5.16.1.2).</summary>
/// <remarks>
/// An entry:
/// <code>
/// 0   8  error count, from 1 on; 0: the entry is empty
/// 8   2  queue
/// 10  2  command identifier
/// 12  2  status field, as in the completion
/// 14  2  parameter error location: FFFFh, not reported
/// 16  8  first logical block
/// 24  4  namespace
/// 28  1  vendor's log page
/// 29  1  transport: 3, TCP; 0 on a PCI bus
/// 30  1  command set
/// 31  1  operation code
/// 32  8  command specific information
/// 40  2  transport specific information
/// </code>
/// </remarks>
/// <param name="transport">How the commands were received.</param>
internal sealed class ErrorLog(NvmeTransport transport)
{
    /// <summary>Bytes of an entry.</summary>
    public const int EntrySize = 64;

    /// <summary>Entries that are kept.</summary>
    public const int Capacity = 64;

    private const ushort NoLocation = 0xFFFF;
    private const byte Tcp = 3;

    private readonly Lock _lock = new();
    private readonly Record[] _records = new Record[Capacity];
    private ulong _count;

    /// <summary>Number of failed commands of the controller.</summary>
    public ulong Count
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    /// <summary>Adds a failed command, and drops the oldest entry if the log is full.</summary>
    /// <param name="queue">Its queue.</param>
    /// <param name="entry">The command.</param>
    /// <param name="completion">Its completion.</param>
    /// <param name="specific">Command specific information: for instance, the capacity that a new namespace lacks.</param>
    public void Add(ushort queue, in SubmissionEntry entry, in CompletionEntry completion, ulong specific = 0)
    {
        lock (_lock)
        {
            _records[_count++ % Capacity] = new Record(
                queue, entry.CommandId, completion.StatusField, entry.StartingLba, entry.NamespaceId, entry.Opcode, specific);
        }
    }

    /// <summary>The page: the newest first.</summary>
    public byte[] ToPage()
    {
        var page = new byte[Capacity * EntrySize];
        lock (_lock)
        {
            for (int i = 0; i < Capacity && (ulong)i < _count; i++)
            {
                ulong number = _count - (ulong)i;
                var record = _records[(number - 1) % Capacity];
                var f = new Fields(page.AsSpan(i * EntrySize, EntrySize));
                f.U64(0, number);
                f.U16(8, record.Queue);
                f.U16(10, record.CommandId);
                f.U16(12, record.StatusField);
                f.U16(14, NoLocation);
                f.U64(16, record.FirstBlock);
                f.U32(24, record.NamespaceId);
                f.U8(29, transport == NvmeTransport.Tcp ? Tcp : (byte)0);
                f.U8(31, record.Opcode);
                f.U64(32, record.Specific);
            }
        }

        return page;
    }

    private readonly record struct Record(
        ushort Queue, ushort CommandId, ushort StatusField, ulong FirstBlock, uint NamespaceId, byte Opcode, ulong Specific);
}
