using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// The Copy command (NVM command set 1.1, 3.3.2): ranges of blocks, of one namespace or several, are copied one after the other to one
/// place. Between ranges of one disk the disk copies, at best without moving data; between two disks the data pass a buffer.
/// </summary>
internal static class CopyCommands
{
    /// <summary>Limits of a command: blocks of a range (MSSRL), ranges (MSRC + 1).</summary>
    public const int MaxRangeBlocks = 65535, MaxRanges = 256;

    private const long MaxBytes = 4L << 30;

    // pieces of a copy that may move no data, and of one that does
    private const int SharedPiece = 256 << 20, MovedPiece = 4 << 20, ShortCopy = 1 << 20;

    /// <summary>The most blocks of a command (MCL).</summary>
    public static uint MaxBlocks(NvmeNamespace ns) => (uint)(MaxBytes >> ns.BlockShift);

    /// <summary>Bytes of the source ranges of a command.</summary>
    public static long DataLengthOf(in SubmissionEntry entry) => ((entry.Dword12 & 0xFF) + 1L) * CopyRange.SizeOf(FormatOf(entry));

    /// <summary>Bytes that a command copies.</summary>
    public static long BytesOf(NvmeNamespace ns, Command command)
    {
        int count = (int)(command.Entry.Dword12 & 0xFF) + 1, format = FormatOf(command.Entry), size = CopyRange.SizeOf(format);
        long blocks = 0;
        for (int i = 0; i < count; i++)
        {
            blocks += CopyRange.Read(command.Data.Span.Slice(i * size, size), format).BlockCount;
        }

        return blocks << ns.BlockShift;
    }

    /// <summary>Runs the command. Dword 0 of the result is the first range that was not copied.</summary>
    public static async ValueTask<NvmeStatus> CopyAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        var status = Parse(controller, ns, command, out var parts, out long length);
        if (status == NvmeStatus.Success && ns.Zones is not null)
        {
            status = await CheckZoneAsync(ns, command, length);
        }

        if (status != NvmeStatus.Success)
        {
            return status;
        }

        status = await (length <= ShortCopy ? RunAsync(controller, ns, command, parts, null)
            : command.LongWork.RunAsync(turn => RunAsync(controller, ns, command, parts, turn)));
        if (status == NvmeStatus.Success)
        {
            await IoCommands.SettleAsync(controller, ns, command);
        }

        return status;
    }

    private static int FormatOf(in SubmissionEntry entry) => (int)(entry.Dword12 >> 8) & 0xF;

    /// <summary>Checks everything about the command that does not need the disk.</summary>
    private static NvmeStatus Parse(Controller controller, NvmeNamespace ns, Command command, out List<Part> parts, out long length)
    {
        var entry = command.Entry;
        int format = FormatOf(entry), count = (int)(entry.Dword12 & 0xFF) + 1, size = CopyRange.SizeOf(format);
        parts = [];
        length = 0;
        if (format > CopyRange.LastFormat || !controller.Features.HostBehavior.AllowsCopyFormat(format))
        {
            return NvmeStatus.InvalidField;
        }

        if (command.Data.Length < count * size)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        long target = (long)Math.Min(entry.StartingLba, ns.Blocks) << ns.BlockShift;
        for (int i = 0; i < count; i++)
        {
            var range = CopyRange.Read(command.Data.Span.Slice(i * size, size), format);
            var status = SourceOf(controller, ns, range, format, out var source);
            status = status != NvmeStatus.Success ? status
                : range.BlockCount > MaxRangeBlocks ? NvmeStatus.CommandSizeLimitExceeded
                : range.StartingLba >= source.Blocks || (ulong)range.BlockCount > source.Blocks - range.StartingLba
                    ? NvmeStatus.LbaOutOfRange
                : NvmeStatus.Success;
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            var part = new Part(
                i, source, (long)(range.StartingLba << ns.BlockShift), target + length, (long)range.BlockCount << ns.BlockShift);
            length += part.Length;
            Add(parts, part);
        }

        long blocks = length >> ns.BlockShift;
        return blocks > MaxBlocks(ns) ? NvmeStatus.CommandSizeLimitExceeded
            : entry.StartingLba >= ns.Blocks || (ulong)blocks > ns.Blocks - entry.StartingLba ? NvmeStatus.LbaOutOfRange
            : CopyRange.HasNamespace(format) && Overlaps(ns, parts, target, length) ? NvmeStatus.OverlappingRange
            : NvmeStatus.Success;
    }

    private static NvmeStatus SourceOf(Controller controller, NvmeNamespace ns, CopyRange range, int format, out NvmeNamespace source)
    {
        source = ns;
        if (!CopyRange.HasNamespace(format) || range.NamespaceId == ns.Id)
        {
            return NvmeStatus.Success;
        }

        if (controller.Find(range.NamespaceId) is not { } other)
        {
            return controller.RefusalOf(range.NamespaceId);
        }

        source = other;
        return source.AccessRefusal is not NvmeStatus.Success and var refusal ? refusal
            : source.BlockShift == ns.BlockShift ? NvmeStatus.Success : NvmeStatus.IncompatibleNamespace;
    }

    // ranges that follow each other are copied as one: their ends need not be those of clusters
    private static void Add(List<Part> parts, Part part)
    {
        if (parts.Count > 0 && parts[^1] is var last && ReferenceEquals(last.From, part.From) && last.Source + last.Length == part.Source)
        {
            parts[^1] = last with { Length = last.Length + part.Length };
        }
        else
        {
            parts.Add(part);
        }
    }

    private static bool Overlaps(NvmeNamespace ns, List<Part> parts, long target, long length)
        => parts.Exists(p => ReferenceEquals(p.From, ns) && p.Source < target + length && target < p.Source + p.Length);

    /// <summary>Nothing is written where the whole does not fit the zone; its other rules are those of each write.</summary>
    private static async ValueTask<NvmeStatus> CheckZoneAsync(NvmeNamespace ns, Command command, long length)
    {
        long target = (long)(command.Entry.StartingLba << ns.BlockShift);
        var zone = new ZoneDescriptor[1];
        await ns.Zones!.ReportAsync(target, zone, ns.TokenOf(command));
        bool writes = zone[0].Condition is not (ZoneCondition.Full or ZoneCondition.ReadOnly or ZoneCondition.Offline);
        return writes && target + length > zone[0].Start + zone[0].Capacity ? NvmeStatus.ZoneBoundaryError : NvmeStatus.Success;
    }

    private static async Task<NvmeStatus> RunAsync(
        Controller controller, NvmeNamespace ns, Command command, List<Part> parts, LongTurn? turn)
    {
        foreach (var part in parts)
        {
            command.Result = (ulong)part.Index;

            // the command is inside its own namespace already
            bool isOther = !ReferenceEquals(part.From, ns);
            int ticket = isOther ? part.From.Closing.TryEnter() : 0;
            if (ticket < 0)
            {
                return part.From.Closing.Refusal;
            }

            try
            {
                if (CopierOf(ns, part.From) is { } copier)
                {
                    await ShareAsync(ns, command, copier, part, turn);
                }
                else if (!await TryMoveAsync(controller, ns, command, part, turn))
                {
                    return NvmeStatus.CommandInterrupted;
                }
            }
            finally
            {
                if (isOther)
                {
                    part.From.Closing.Leave(ticket);
                }
            }
        }

        command.Result = 0;
        return NvmeStatus.Success;
    }

    private static IRangeCopy? CopierOf(NvmeNamespace ns, NvmeNamespace source)
        => ns.Device.RangeCopy is { } to && source.Device.RangeCopy is { } from && ReferenceEquals(to.Disk, from.Disk) ? to : null;

    private static async Task ShareAsync(NvmeNamespace ns, Command command, IRangeCopy copier, Part part, LongTurn? turn)
    {
        // as a whole where clusters of both sides lie alike
        long start = part.From.Device.RangeCopy!.Start + part.Source;
        int cluster = ns.Device.Limits.OptimalTransfer;
        long most = cluster > 0 && (start - copier.Start - part.Target) % cluster == 0 ? SharedPiece : MovedPiece;
        bool isBackward = ReferenceEquals(part.From, ns) && part.Source < part.Target && part.Target < part.Source + part.Length;
        for (long done = 0, piece; done < part.Length; done += piece)
        {
            piece = isBackward ? Math.Min(most, part.Length - done) : LongWork.PieceAt(part.Target + done, part.Length - done, most);
            long at = isBackward ? part.Length - done - piece : done;
            await copier.CopyAsync(start + at, part.Target + at, piece, ns.TokenOf(command));
            if (turn is not null)
            {
                await turn.NextAsync();
            }
        }
    }

    private static async Task<bool> TryMoveAsync(Controller controller, NvmeNamespace ns, Command command, Part part, LongTurn? turn)
    {
        int most = (int)Math.Min(part.Length, Math.Min(controller.MaxTransfer, LongWork.PieceBytes));
        if (controller.Target.Buffers.TryRentTransfer(most) is not { } buffer)
        {
            return false;
        }

        try
        {
            bool isBackward = ReferenceEquals(part.From, ns) && part.Source < part.Target && part.Target < part.Source + part.Length;
            for (long done = 0; done < part.Length;)
            {
                int piece = (int)Math.Min(most, part.Length - done);
                long at = isBackward ? part.Length - done - piece : done;
                var data = buffer.Data(piece);
                await part.From.Device.ReadAsync(part.Source + at, data, ns.TokenOf(command));
                await ns.Device.WriteAsync(part.Target + at, data, cancellationToken: ns.TokenOf(command));
                done += piece;
                if (turn is not null)
                {
                    await turn.NextAsync();
                }
            }

            return true;
        }
        finally
        {
            buffer.Release();
        }
    }

    /// <summary>Ranges of the command that follow each other in one namespace.</summary>
    /// <param name="Index">Number of the first.</param>
    /// <param name="From">Namespace that is read.</param>
    /// <param name="Source">First byte that is read.</param>
    /// <param name="Target">First byte that is written.</param>
    /// <param name="Length">Bytes.</param>
    private readonly record struct Part(int Index, NvmeNamespace From, long Source, long Target, long Length);
}
