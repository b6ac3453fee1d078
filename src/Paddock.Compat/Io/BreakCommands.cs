using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>Breakpoints of an image over blkdebug.</summary>
internal static class BreakCommands
{
    private const int NoEntry = 2, NotSupported = 95;

    public static ValueTask<bool> BreakAsync(IoSession session, IReadOnlyList<string> words)
        => Answer(session, session.Faults?.SetBreak(words[1], words[2]), "Could not set breakpoint");

    public static ValueTask<bool> RemoveAsync(IoSession session, IReadOnlyList<string> words)
        => Answer(session, session.Faults?.RemoveBreak(words[1]), $"Could not remove breakpoint {words[1]}");

    public static ValueTask<bool> ResumeAsync(IoSession session, IReadOnlyList<string> words)
        => Answer(session, session.Faults?.Resume(words[1]), "Could not resume request");

    public static async ValueTask<bool> WaitAsync(IoSession session, IReadOnlyList<string> words)
    {
        // QEMU would wait for ever where nothing can stop
        if (session.Faults is null)
        {
            return await Answer(session, null, "Could not wait for a request");
        }

        await session.Faults.WaitSuspendedAsync(words[1]);
        return true;
    }

    private static ValueTask<bool> Answer(IoSession session, bool? done, string otherwise)
    {
        if (done != true)
        {
            session.Print($"{otherwise}: {ErrorText.Of(done is null ? NotSupported : NoEntry)}\n");
        }

        return new(done == true);
    }
}
