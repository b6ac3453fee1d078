using Paddock.Images;
using Paddock.Posix;
using Paddock.VfioUser;

namespace Paddock.Server.Listeners;

/// <summary>The settings of vfio-user sockets.</summary>
internal static class VfioUserSockets
{
    private const string NqnMark = "=nqn.";
    private const int MostPolling = 1_000_000;

    /// <summary>Splits SOCKET[=NQN]; the path may contain equals signs.</summary>
    public static (string Path, string? Nqn) Parse(string text)
        => text.LastIndexOf(NqnMark, StringComparison.Ordinal) is >= 0 and var at ? (text[..at], text[(at + 1)..]) : (text, null);

    /// <summary>Checks each value against its limits.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="dashes">What precedes names in messages.</param>
    /// <exception cref="ToolException">A value is invalid; the message begins with its name.</exception>
    public static void Check(ServeSettings settings, string dashes)
    {
        if (OperatingSystem.IsLinux())
        {
            ServeCheck.Within("vfio-user-queues", settings.VfioUserQueues, 1, VfioUserLimits.MaxQueues);
        }

        ServeCheck.Within("vfio-user-poll", settings.VfioUserPoll, 0, MostPolling);
        ServeCheck.OneOf("vfio-user-doorbells", settings.VfioUserDoorbells, "trapped", "mapped");
        ServeCheck.OneOf("vfio-user-interrupts", settings.VfioUserInterrupts, "msix", "intx");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string text in settings.VfioUser)
        {
            string path = Parse(text).Path;
            if (UnixSocketFile.TooLong(path) is { } why)
            {
                throw new ToolException($"{dashes}vfio-user {text}: {why}", NativeExit.Usage);
            }

            if (!seen.Add(Path.GetFullPath(path)))
            {
                throw new ToolException(
                    $"{dashes}vfio-user {text}: the socket is given twice; each controller has its own", NativeExit.Usage);
            }
        }
    }
}
