using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>Properties of the terminal and the process that .NET does not expose.</summary>
internal static class Terminal
{
    /// <summary>True when standard output is a terminal.</summary>
    public static bool IsOutputTerminal => OperatingSystem.IsLinux() ? Native.IsTerminal(1) == 1 : !Console.IsOutputRedirected;

    /// <summary>True when standard input is a terminal.</summary>
    public static bool IsInputTerminal => OperatingSystem.IsLinux() ? Native.IsTerminal(0) == 1 : !Console.IsInputRedirected;

    /// <summary>True when standard error is a terminal.</summary>
    public static bool IsErrorTerminal => OperatingSystem.IsLinux() ? Native.IsTerminal(2) == 1 : !Console.IsErrorRedirected;

    /// <summary>Whether the process has a terminal that can send it signals; false after that terminal was closed.</summary>
    public static bool HasControllingTerminal()
    {
        const int noControl = 0x100;
        if (!OperatingSystem.IsLinux())
        {
            return false;
        }

        int descriptor = Native.Open("/dev/tty\0"u8, noControl | Native.OpenCloseOnExec, 0);
        if (descriptor < 0)
        {
            return false;
        }

        _ = Native.CloseDescriptor(descriptor);
        return true;
    }

    /// <summary>Whether standard error is the stream that JOURNAL_STREAM names: a connection to systemd's journal.</summary>
    /// <param name="stream">Device and inode, separated by a colon.</param>
    public static bool IsJournal(string? stream)
    {
        const int emptyPath = 0x1000, inode = 2, basic = 0x100;
        if (!OperatingSystem.IsLinux() || stream is null)
        {
            return false;
        }

        // struct statx: inode at byte 32, device at 136 (major) and 140 (minor)
        Span<byte> facts = stackalloc byte[256];
        using var error = new Microsoft.Win32.SafeHandles.SafeFileHandle(2, ownsHandle: false);
        if (Native.Stat(error, "", emptyPath, inode | basic, facts) != 0)
        {
            return false;
        }

        ulong major = MemoryMarshal.Read<uint>(facts[136..]), minor = MemoryMarshal.Read<uint>(facts[140..]);
        ulong device = ((major & 0xfffff000) << 32) | ((major & 0xfff) << 8) | ((minor & 0xffffff00) << 12) | (minor & 0xff);
        return stream == string.Create(CultureInfo.InvariantCulture, $"{device}:{MemoryMarshal.Read<ulong>(facts[32..])}");
    }

    /// <summary>Whether the terminal sends its signals, such as Ctrl-C, to the process group of this process.</summary>
    public static bool IsInForeground()
    {
        const int noControl = 0x100;
        if (!OperatingSystem.IsLinux())
        {
            return false;
        }

        int descriptor = Native.Open("/dev/tty\0"u8, noControl | Native.OpenCloseOnExec, 0);
        if (descriptor < 0)
        {
            return false;
        }

        int group = Native.TerminalGroup(descriptor);
        _ = Native.CloseDescriptor(descriptor);
        return group == Native.ProcessGroup();
    }

    /// <summary>Columns of the terminal; <paramref name="otherwise"/> without a terminal.</summary>
    public static int Width(int otherwise = 80)
    {
        if (!IsOutputTerminal)
        {
            return otherwise;
        }

        // System.Console would initialize the terminal, which writes escape sequences to it
        int width = OperatingSystem.IsLinux() ? LinuxWidth() : Console.WindowWidth;
        return width > 0 ? width : otherwise;
    }

    /// <summary>Leaves the terminal: its signals reach this process no more. Does nothing without a terminal.</summary>
    public static void Detach()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = Native.NewSession();
        }
    }

    /// <summary>Sends standard output, and standard error on request, to nowhere, so that pipes of the starting process can end.</summary>
    public static void DiscardStreams(bool keepsErrors)
    {
        if (!OperatingSystem.IsLinux()
            || Native.Open("/dev/null\0"u8, Native.OpenReadWrite | Native.OpenCloseOnExec, 0) is not (> 2 and var none))
        {
            return;
        }

        _ = Native.Duplicate(none, 1);
        if (!keepsErrors)
        {
            _ = Native.Duplicate(none, 2);
        }

        _ = Native.CloseDescriptor(none);
    }

    [SupportedOSPlatform("linux")]
    private static int LinuxWidth()
    {
        using var output = new SafeFileHandle(1, ownsHandle: false);
        var size = default(Native.WindowSize);
        return Native.GetWindowSize(output, Native.QueryWindowSize, ref size) == 0 ? size.Columns : 0;
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
