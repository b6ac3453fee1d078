using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>
/// The mode of the terminal on standard input: keys one by one, without echo. The signals of Ctrl-C and Ctrl-Z stay, so that a program that
/// hangs can be ended. The previous mode is restored by <see cref="Restore"/>.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class TerminalMode
{
    // struct termios: four flag words, the line discipline, the control characters and two speeds
    private const int Size = 60, LocalFlags = 12, Characters = 17, Time = 5, Minimum = 6;
    private const uint Canonical = 2, Echo = 8;

    private readonly byte[] _before = new byte[Size];

    private TerminalMode()
    {
    }

    /// <summary>Reads the mode of the terminal; null if standard input is not a terminal.</summary>
    public static TerminalMode? Current()
    {
        var mode = new TerminalMode();
        return Native.GetTerminalAttributes(0, mode._before) == 0 ? mode : null;
    }

    /// <summary>Delivers each key at once, and does not echo it.</summary>
    public void ReadKeys()
    {
        byte[] keys = [.. _before];
        uint flags = BitConverter.ToUInt32(keys, LocalFlags) & ~(Canonical | Echo);
        BitConverter.TryWriteBytes(keys.AsSpan(LocalFlags), flags);
        keys[Characters + Minimum] = 1;
        keys[Characters + Time] = 0;
        _ = Native.SetTerminalAttributes(0, 0, keys);
    }

    /// <summary>Sets the mode as it was.</summary>
    public void Restore() => _ = Native.SetTerminalAttributes(0, 0, _before);

    /// <summary>Columns and rows of the terminal on standard output; null if unknown.</summary>
    public static (int Columns, int Rows)? WindowSize()
    {
        using var output = new SafeFileHandle(1, ownsHandle: false);
        var size = default(Native.WindowSize);
        return Native.GetWindowSize(output, Native.QueryWindowSize, ref size) == 0 && size.Columns > 0 && size.Rows > 0
            ? (size.Columns, size.Rows) : null;
    }

    /// <summary>Stops the process, as the terminal does on Ctrl-Z; returns when it continues.</summary>
    public static void StopProcess()
    {
        const int stop = 19;
        _ = Native.Raise(stop);
    }
}
