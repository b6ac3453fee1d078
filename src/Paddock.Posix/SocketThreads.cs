namespace Paddock.Posix;

/// <summary>Configuration of the threads that wait for sockets.</summary>
internal static class SocketThreads
{
    // read by the runtime once, before the process's first wait for a socket
    private const string Switch = "DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS";

    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(0.1);

    /// <summary>
    /// The code that waits for a socket runs on the thread that saw it become ready, not on another that has to be woken first: half the
    /// latency of a small request, and half its cost. For programs whose waits end in code that does not block. Must come before the first
    /// use of a socket.
    /// </summary>
    /// <remarks>
    /// Its threads also ask for short slices of the processor: they wake often and for little, and one that computes must not keep them
    /// waiting.
    /// </remarks>
    public static void Prepare()
    {
        Environment.SetEnvironmentVariable(Switch, "1");
        SchedulerSlice.AskFor(Slice);
    }
}
