using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Filters;
using Paddock.Posix;
using Paddock.Qcow2.Bitmaps;

namespace Paddock.Compat;

/// <summary>Runs a command so that whatever happens ends in one line on standard error and an exit code.</summary>
public static class ToolRun
{
    private const string TraceVariable = "PADDOCK_STACK_TRACE";

    /// <summary>Runs a compatible tool.</summary>
    /// <returns>Its exit code; 1 when it failed in a way that it does not report itself, or when its output could not be written.</returns>
    public static async Task<int> GuardAsync(ToolContext context, Func<ToolContext, Task<int>> tool)
    {
        int code;
        try
        {
            code = await tool(context);
        }
        catch (MismatchException e)
        {
            // in the words of the driver that found it, which has no name of a program before them
            context.Out.Flush();
            context.Error.Write(e.Message + "\n");
            context.Error.Flush();
            code = 1;
        }
        catch (OutputException)
        {
            // reported below
            code = 1;
        }
        catch (Exception e)
        {
            context.Report(e is BitmapsLostException lost ? CloseFailure.LineOf(lost) : Describe(e, context.GetVariable));
            code = 1;
        }

        context.Out.Flush();
        if (context.OutputFailure is { } why)
        {
            context.Report(why);
            code = code == 0 ? 1 : code;
        }

        return code;
    }

    /// <summary>One line about a failure that no command expects; where it came from too, if the environment asks for it.</summary>
    public static string Describe(Exception failure, Func<string, string?> variable)
    {
        if (failure is ToolException or BlockException or IOException or UnauthorizedAccessException or OperationCanceledException)
        {
            return failure.Message;
        }

        string where = variable(TraceVariable) is { Length: > 0 } ? "\n" + failure
            : $"; please report it with what {TraceVariable}=1 prints";
        return failure is OutOfMemoryException ? "not enough memory" : $"internal error: {failure.Message.ReplaceLineEndings(" ")}{where}";
    }
}
