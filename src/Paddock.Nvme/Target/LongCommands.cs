using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Commands that may take far longer than a read or a write: they run in pieces, in turn with those of other connections.
/// </summary>
internal static class LongCommands
{
    /// <summary>The longest Write Zeroes that runs at once, in bytes.</summary>
    public const int ShortZeroes = 4 << 20;

    // shorter ones run at once: taking turns would cost more
    private const int ShortCompare = 64 << 10, ShortDiscard = 64 << 20, FewRanges = 16;

    private const uint Deallocate = 1 << 2;
    private const int RangeSize = 16, MaxRanges = 256, ZeroesPiece = 16 << 20;
    private const long DiscardPiece = 256 << 20;

    /// <summary>Verify: reads without returning data.</summary>
    public static async ValueTask<NvmeStatus> VerifyAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        var status = IoCommands.CheckRange(ns, command.Entry, out long offset, out int length);
        return status != NvmeStatus.Success ? status
            : await command.LongWork.RunAsync(turn => VerifyAsync(controller, ns, command, new Part(offset, length), turn));
    }

    /// <summary>Compare.</summary>
    public static async ValueTask<NvmeStatus> CompareAsync(Controller controller, NvmeNamespace ns, Command command)
    {
        var status = IoCommands.CheckTransfer(ns, command, out long offset);
        return status != NvmeStatus.Success ? status
            : command.Data.Length <= ShortCompare ? await CompareNowAsync(controller, ns, command, offset)
            : await command.LongWork.RunAsync(_ => CompareNowAsync(controller, ns, command, offset));
    }

    /// <summary>A Write Zeroes that is longer than <see cref="ShortZeroes"/>, on a disk without zones.</summary>
    public static async ValueTask WriteZeroesAsync(NvmeNamespace ns, Command command, long offset, int length, ZeroFlags flags)
        => await command.LongWork.RunAsync(async turn =>
        {
            for (int done = 0, piece; done < length; done += piece)
            {
                piece = (int)LongWork.PieceAt(offset + done, length - done, ZeroesPiece);
                await ns.Device.WriteZeroesAsync(offset + done, piece, flags, ns.TokenOf(command));
                await turn.NextAsync();
            }
        });

    /// <summary>
    /// Dataset Management: ranges of 16 bytes, which are attributes (4), blocks (4), first block (8). A hint: space that a zone cannot free
    /// is kept.
    /// </summary>
    public static async ValueTask<NvmeStatus> DeallocateAsync(NvmeNamespace ns, Command command)
    {
        int count = (int)(command.Entry.Dword10 & 0xFF) + 1;
        if (command.Data.Length < count * RangeSize || count > MaxRanges)
        {
            return NvmeStatus.SglLengthInvalid;
        }

        if ((command.Entry.Dword11 & Deallocate) == 0)
        {
            count = 0;
        }

        bool isShort = count <= FewRanges;
        for (int i = 0; i < count && isShort; i++)
        {
            isShort = PartAt(ns, command, i) is not { Length: > ShortDiscard };
        }

        return isShort ? await DeallocateAsync(ns, command, count, null)
            : await command.LongWork.RunAsync(turn => DeallocateAsync(ns, command, count, turn));
    }

    private static async Task<NvmeStatus> DeallocateAsync(NvmeNamespace ns, Command command, int count, LongTurn? turn)
    {
        for (int i = 0; i < count; i++)
        {
            if (PartAt(ns, command, i) is not { } part)
            {
                return NvmeStatus.LbaOutOfRange;
            }

            for (long done = 0, piece; done < part.Length; done += piece)
            {
                piece = LongWork.PieceAt(part.Offset + done, part.Length - done, DiscardPiece);
                try
                {
                    await ns.Device.DiscardAsync(part.Offset + done, piece, ns.TokenOf(command));
                }
                catch (ZoneException e) when (e.Reason == ZoneError.Sequential)
                {
                    // only a reset frees the blocks of a zone
                }

                if (turn is not null)
                {
                    await turn.NextAsync();
                }
            }
        }

        return NvmeStatus.Success;
    }

    // null: beyond the disk
    private static Part? PartAt(NvmeNamespace ns, Command command, int index)
    {
        var range = command.Data.Span.Slice(index * RangeSize, RangeSize);
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(range[8..]);
        uint blocks = BinaryPrimitives.ReadUInt32LittleEndian(range[4..]);
        return first > ns.Blocks || blocks > ns.Blocks - first ? null
            : new Part((long)(first << ns.BlockShift), (long)blocks << ns.BlockShift);
    }

    private static async Task<NvmeStatus> CompareNowAsync(Controller controller, NvmeNamespace ns, Command command, long offset)
    {
        if (controller.Target.Buffers.TryRentTransfer(command.Data.Length) is not { } buffer)
        {
            return NvmeStatus.CommandInterrupted;
        }

        try
        {
            var stored = buffer.Data(command.Data.Length);
            await ns.Device.ReadAsync(offset, stored, ns.TokenOf(command));
            if (!stored.Span.SequenceEqual(command.Data.Span))
            {
                return NvmeStatus.CompareFailure;
            }

            return NvmeStatus.Success;
        }
        finally
        {
            buffer.Release();
        }
    }

    private static async Task<NvmeStatus> VerifyAsync(Controller controller, NvmeNamespace ns, Command command, Part part, LongTurn turn)
    {
        int most = Math.Min(controller.MaxTransfer, LongWork.PieceBytes);
        if (controller.Target.Buffers.TryRentTransfer((int)Math.Min(part.Length, most)) is not { } buffer)
        {
            return NvmeStatus.CommandInterrupted;
        }

        try
        {
            for (long done = 0, piece; done < part.Length; done += piece)
            {
                piece = Math.Min(most, part.Length - done);
                await ns.Device.ReadAsync(part.Offset + done, buffer.Data((int)piece), ns.TokenOf(command));
                await turn.NextAsync();
            }

            return NvmeStatus.Success;
        }
        finally
        {
            buffer.Release();
        }
    }

    private readonly record struct Part(long Offset, long Length);
}
