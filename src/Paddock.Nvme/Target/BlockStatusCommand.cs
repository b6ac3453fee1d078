using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Get LBA Status (NVM command set 1.1, 4.2.1): dwords 10 and 11 have the first block, dword 12 the dwords to return (0's based), dword 13
/// the number of blocks in 15:0 (0: to the end) and the kind of answer in 31:24.
/// </summary>
internal static class BlockStatusCommand
{
    // the answer: blocks that are allocated; blocks that cannot be read, found by a scan, or known
    private const byte Allocated = 0x02, Untracked = 0x10, Tracked = 0x11;

    private const byte Incomplete = 1, Complete = 2;
    private const int HeaderSize = 8, CompletionAt = 4, DescriptorSize = 16;

    /// <summary>Runs of equal blocks that a command looks at in one turn.</summary>
    private const int RunsAtOnce = 1024;

    /// <summary>Bytes that the command asks for.</summary>
    public static long LengthOf(in SubmissionEntry entry) => 4 * ((long)entry.Dword12 + 1);

    /// <summary>Fills a list of descriptors: first block (8), blocks (4), reserved (4) with the status in byte 13.</summary>
    public static async ValueTask<NvmeStatus> ExecuteAsync(Controller controller, Command command)
    {
        var entry = command.Entry;
        byte action = (byte)(entry.Dword13 >> 24);
        if (action is not (Allocated or Untracked or Tracked))
        {
            return NvmeStatus.InvalidField;
        }

        if (controller.Find(entry.NamespaceId) is not { } ns)
        {
            return controller.RefusalOf(entry.NamespaceId);
        }

        if (entry.StartingLba >= ns.Blocks)
        {
            return NvmeStatus.LbaOutOfRange;
        }

        if (command.Data.Length < LengthOf(entry))
        {
            return NvmeStatus.SglLengthInvalid;
        }

        int ticket = ns.Closing.TryEnter();
        if (ticket < 0)
        {
            return ns.Closing.Refusal;
        }

        try
        {
            return await command.LongWork.RunAsync(turn => FillAsync(ns, command, action, turn));
        }
        catch (BlockException e)
        {
            return StatusMap.Of(e, writing: false);
        }
        finally
        {
            ns.Closing.Leave(ticket);
        }
    }

    private static async Task<NvmeStatus> FillAsync(NvmeNamespace ns, Command command, byte action, LongTurn turn)
    {
        var entry = command.Entry;
        command.Written = (int)LengthOf(entry);
        var page = command.Data[..command.Written];
        page.Span.Clear();
        int room = Math.Max(0, (page.Length - HeaderSize) / DescriptorSize), count = 0;
        ulong wanted = entry.Dword13 & 0xFFFF;
        ulong blocks = wanted == 0 ? ns.Blocks - entry.StartingLba : Math.Min(wanted, ns.Blocks - entry.StartingLba);
        long offset = (long)(entry.StartingLba << ns.BlockShift), end = offset + (long)(blocks << ns.BlockShift);
        var open = new Run(offset, offset);
        for (int runs = 1; offset < end; runs++)
        {
            if (runs % RunsAtOnce == 0)
            {
                await turn.NextAsync();
            }

            var status = await ns.Device.GetStatusAsync(offset, end - offset, ns.TokenOf(command));
            bool isWanted = action == Allocated ? (status.Flags & BlockStatusFlags.Zero) == 0
                : (status.Flags & BlockStatusFlags.Unreadable) != 0;
            if (isWanted && open.End < offset && !TryAdd(page, ns, ref open, room, ref count))
            {
                break;
            }

            open = !isWanted ? open : open.IsEmpty ? new Run(offset, offset + status.Length) : open with { End = offset + status.Length };
            offset += Math.Max(1, status.Length);
        }

        bool isWhole = offset >= end && TryAdd(page, ns, ref open, room, ref count);
        var header = new Fields(page.Span);
        if (page.Length >= HeaderSize)
        {
            header.U32(0, (uint)count);
            header.U8(CompletionAt, isWhole ? Complete : Incomplete);
        }

        return NvmeStatus.Success;
    }

    /// <summary>Adds the run that has ended, in descriptors of up to 2^32 - 1 blocks; a block that is in it in part counts.</summary>
    private static bool TryAdd(Memory<byte> page, NvmeNamespace ns, ref Run open, int room, ref int count)
    {
        ulong first = (ulong)(open.Start >> ns.BlockShift), last = (ulong)((open.End + ns.BlockSize - 1) >> ns.BlockShift);
        while (!open.IsEmpty && first < last)
        {
            if (count == room)
            {
                return false;
            }

            uint blocks = (uint)Math.Min(last - first, uint.MaxValue);
            var f = new Fields(page.Span.Slice(HeaderSize + (count++ * DescriptorSize), DescriptorSize));
            f.U64(0, first);
            f.U32(8, blocks);
            first += blocks;
        }

        open = default;
        return true;
    }

    private readonly record struct Run(long Start, long End)
    {
        public bool IsEmpty => Start == End;
    }
}
