using System.Globalization;
using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>The zone commands (spec section 5).</summary>
internal static class ZoneCommands
{
    private const byte AppendPattern = 0xcd;
    private const int Sector = 512;

    public static async ValueTask<bool> ReportAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "", session.Complain);
        long offset = arguments.Number(0);
        long wanted = arguments.Number(1);
        try
        {
            var zoned = session.Zones;
            var zones = new ZoneDescriptor[(int)Math.Clamp(wanted, 0, zoned.Limits.ZoneCount)];
            int count = await zoned.ReportAsync(offset, zones);
            foreach (var zone in zones.AsSpan(0, count))
            {
                session.Print(string.Create(
                    CultureInfo.InvariantCulture,
                    $"start: 0x{zone.Start / Sector:x}, len 0x{zone.Length / Sector:x}, cap 0x{zone.Capacity / Sector:x}, "
                    + $"wptr 0x{zone.WritePointer / Sector:x}, zcond:{(int)zone.Condition}, [type: {(int)zone.Type}]\n"));
            }

            return true;
        }
        catch (BlockException e)
        {
            session.Print($"zone report failed: {ErrorText.Of(e)}\n");
            return false;
        }
    }

    public static Func<IoSession, IReadOnlyList<string>, ValueTask<bool>> Manage(ZoneAction action) => async (session, words) =>
    {
        var arguments = new IoArguments(words, "", session.Complain);
        long offset = arguments.Number(0);
        long length = arguments.Number(1);
        try
        {
            await session.Zones.ManageAsync(action, offset, length);
            return true;
        }
        catch (BlockException e)
        {
            session.Print($"zone {action.ToString().ToLowerInvariant()} failed: {ErrorText.Of(e)}\n");
            return false;
        }
    };

    public static async ValueTask<bool> AppendAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "p", session.Complain);
        if (arguments.Count < 2)
        {
            throw new IoArgumentException("", showUsage: true);
        }

        long offset = arguments.Number(0);
        long length = 0;
        for (int i = 1; i < arguments.Count; i++)
        {
            length = Math.Min(int.MaxValue, length + arguments.Number(i));
        }

        try
        {
            var zoned = session.Zones;
            if (length > zoned.Limits.ZoneSize)
            {
                throw new BlockException(BlockError.NotSupported, "an append is longer than a zone");
            }

            var data = new byte[length];
            Array.Fill(data, AppendPattern);
            long at = await zoned.AppendAsync(offset, data);
            if (arguments.Has('p'))
            {
                session.Print(string.Create(CultureInfo.InvariantCulture, $"After zap done, the append sector is 0x{at / Sector:x}\n"));
            }

            return true;
        }
        catch (BlockException e)
        {
            session.Print($"zone append failed: {ErrorText.Of(e)}\n");
            return false;
        }
    }
}
