using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Paddock.Posix;

/// <summary>The terminal and the process, as far as .NET does not say.</summary>
public static class Terminal
{
    /// <summary>True when standard output is a terminal.</summary>
    public static bool IsOutputTerminal => OperatingSystem.IsLinux() ? Native.IsTerminal(1) == 1 : !Console.IsOutputRedirected;

    /// <summary>Columns of the terminal; <paramref name="otherwise"/> where there is none.</summary>
    public static int Width(int otherwise = 80)
    {
        if (!IsOutputTerminal)
        {
            return otherwise;
        }

        try
        {
            int width = Console.WindowWidth;
            return width > 0 ? width : otherwise;
        }
        catch (IOException)
        {
            return otherwise;
        }
    }

    /// <summary>Leaves the terminal: its signals reach this process no more. Nothing happens where there is none.</summary>
    public static void Detach()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = Native.NewSession();
        }
    }

    /// <summary>Ends the process by a signal with its default disposition, leaving no core file.</summary>
    [SupportedOSPlatform("linux")]
    public static void Raise(int signal)
    {
        const int setDumpable = 4;
        _ = Native.ProcessControl(setDumpable, 0, 0, 0, 0);
        _ = Native.SetHandler(signal, 0);
        _ = Native.Raise(signal);
    }
}
