using Paddock.Block;
using Paddock.Images;

namespace Paddock.Compat.Io;

/// <summary>The table of commands, in the order in which help lists them.</summary>
internal static class IoCommands
{
    private static readonly Lazy<IoCommand[]> Table = new(Build);

    /// <summary>The command of this name or alias, or null.</summary>
    public static IoCommand? Find(string name) => Array.Find(Table.Value, c => c.Name == name || (c.Alias.Length > 0 && c.Alias == name));

    /// <summary>Runs one line.</summary>
    /// <returns>False when it failed.</returns>
    public static async ValueTask<bool> RunAsync(IoSession session, string line)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
        {
            return true;
        }

        if (Find(words[0]) is not { } command)
        {
            session.Complain($"command \"{words[0]}\" not found");
            return false;
        }

        if (command.NeedsFile && session.Image is null)
        {
            session.Complain("no file open, try 'help open'");
            return false;
        }

        if (CountFault(command, words.Length - 1) is { } fault)
        {
            session.Complain(fault.Replace("NAME", words[0], StringComparison.Ordinal));
            return false;
        }

        if (command.Writes && session.Device.IsReadOnly)
        {
            session.Complain($"{session.Context.Program}: Block node is read-only");
            return false;
        }

        return await RunCheckedAsync(session, command, words);
    }

    private static async ValueTask<bool> RunCheckedAsync(IoSession session, IoCommand command, string[] words)
    {
        try
        {
            return await command.Run(session, words);
        }
        catch (IoArgumentException e)
        {
            session.Print(e.ShowUsage ? $"{command.Name} {command.HelpLine}\n" : e.Message);
            return false;
        }
        catch (ToolException e)
        {
            session.Complain($"{session.Context.Program}: {e.Message}");
            return false;
        }
        catch (BlockException e)
        {
            session.Complain($"{session.Context.Program}: {e.Message}");
            return false;
        }
    }

    private static string? CountFault(IoCommand command, int count)
    {
        if (count >= command.MinArguments && (command.MaxArguments < 0 || count <= command.MaxArguments))
        {
            return null;
        }

        string expected = command.MaxArguments < 0 ? $"at least {command.MinArguments}"
            : command.MinArguments == command.MaxArguments ? $"{command.MinArguments}"
            : $"between {command.MinArguments} and {command.MaxArguments}";
        return $"bad argument count {count} to NAME, expected {expected} arguments";
    }

    private static ValueTask<bool> HelpAsync(IoSession session, IReadOnlyList<string> words)
    {
        if (words.Count == 1)
        {
            foreach (var command in Table.Value)
            {
                session.Print($"{command.Name} {command.HelpLine}\n");
            }

            session.Print("\nUse 'help commandname' for extended help.\n");
            return new(true);
        }

        if (Find(words[1]) is not { } found)
        {
            session.Print($"command {words[1]} not found\n");
            return new(false);
        }

        session.Print($"{words[1]} {found.HelpLine}\n");
        return new(true);
    }

    private static IoCommand[] Build() =>
    [
        new("abort", "", 0, 0, false, false, "", "simulate a program crash using abort(3)", StateCommands.AbortAsync),
        new("aio_flush", "", 0, 0, true, false, "", "completes all outstanding aio requests", TransferCommands.AioFlushAsync),
        new("aio_read", "", 2, -1, true, false, "[-Ciqrv] [-P pattern] off len [len..]", "asynchronously reads a number of bytes",
        TransferCommands.AioReadAsync),
        new("aio_write", "", 2, -1, true, true, "[-Cfiqruz] [-P pattern] off len [len..]", "asynchronously writes a number of bytes",
        TransferCommands.AioWriteAsync),
        new("alloc", "a", 1, 2, true, false, "offset [count]", "checks if offset is allocated in the file", StateCommands.AllocAsync),
        new("break", "", 2, 2, true, false, "event tag", "sets a breakpoint on event and tags the stopped request as tag",
        BreakCommands.BreakAsync),
        new("close", "c", 0, 0, true, false, "", "close the current open file", StateCommands.CloseAsync),
        new("discard", "d", 2, -1, true, true, "[-Cq] off len", "discards a number of bytes at a specified offset",
        TransferCommands.DiscardAsync),
        new("flush", "f", 0, 0, true, false, "", "flush all in-core file state to disk", TransferCommands.FlushAsync),
        new("help", "?", 0, 1, false, false, "[command]", "help for one or all commands", HelpAsync),
        new("info", "i", 0, 0, true, false, "", "prints information about the current file", StateCommands.InfoAsync),
        new("length", "l", 0, 0, true, false, "", "gets the length of the current file", StateCommands.LengthAsync),
        new("map", "", 0, 1, true, false, "", "prints the allocated areas of a file", StateCommands.MapAsync),
        new("open", "o", 1, -1, false, false, "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]", "open the file specified by path",
        StateCommands.OpenAsync),
        new("quit", "q", 0, 0, false, false, "", "exit the program", StateCommands.QuitAsync),
        new("read", "r", 2, -1, true, false, "[-abCqrv] [-P pattern [-s off] [-l len]] off len",
        "reads a number of bytes at a specified offset",
            TransferCommands.ReadAsync),
        new("readv", "rv", 2, -1, true, false, "[-Cqrv] [-P pattern] off len [len..]", "reads a number of bytes at a specified offset",
        TransferCommands.ReadvAsync),
        new("remove_break", "", 1, 1, true, false, "tag", "remove a breakpoint by tag", BreakCommands.RemoveAsync),
        new("reopen", "", 0, -1, true, false, "[(-r|-w)] [-c cache] [-o options]", "reopens an image with new options",
        StateCommands.ReopenAsync),
        new("resume", "", 1, 1, true, false, "tag", "resumes the request tagged as tag", BreakCommands.ResumeAsync),
        new("sigraise", "", 1, 1, false, false, "signal", "raises a signal", StateCommands.RaiseAsync),
        new("sleep", "", 1, 1, false, false, "", "waits for the given value in milliseconds", StateCommands.SleepAsync),
        new("truncate", "t", 1, 3, true, true, "[-m prealloc_mode] off", "truncates the current file at the given offset",
        StateCommands.TruncateAsync),
        new("wait_break", "", 1, 1, true, false, "tag", "waits for the suspension of a request", BreakCommands.WaitAsync),
        new("write", "w", 2, -1, true, true, "[-bcCfnqruz] [-P pattern | -s source_file] off len",
        "writes a number of bytes at a specified offset",
            TransferCommands.WriteAsync),
        new("writev", "wv", 2, -1, true, true, "[-Cfqr] [-P pattern] off len [len..]", "writes a number of bytes at a specified offset",
        TransferCommands.WritevAsync),
        new("zone_append", "zap", 3, 4, true, true, "[-p] offset len [len..]", "append write a number of bytes at a specified offset",
        ZoneCommands.AppendAsync),
        new("zone_close", "zc", 2, 2, true, true, "offset len", "close a range of zones in zone block device",
        ZoneCommands.Manage(ZoneAction.Close)),
        new("zone_finish", "zf", 2, 2, true, true, "offset len", "finish a range of zones in zone block device",
        ZoneCommands.Manage(ZoneAction.Finish)),
        new("zone_open", "zo", 2, 2, true, true, "offset len", "explicit open a range of zones in zone block device",
        ZoneCommands.Manage(ZoneAction.Open)),
        new("zone_report", "zrp", 2, 2, true, false, "offset number", "report zone information", ZoneCommands.ReportAsync),
        new("zone_reset", "zrs", 2, 2, true, true, "offset len", "reset a zone write pointer in zone block device",
        ZoneCommands.Manage(ZoneAction.Reset)),
    ];
}
