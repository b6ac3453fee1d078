namespace Paddock.Tools.Native;

/// <summary>Exit codes of the native verbs. Those of `check` are qemu-img's.</summary>
public static class NativeExit
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>The request failed or was refused; a line on standard error says why.</summary>
    public const int Failure = 1;

    /// <summary>`check` found corruption that is left.</summary>
    public const int Corrupt = 2;

    /// <summary>`check` found leaked clusters that are left, and nothing worse.</summary>
    public const int Leaks = 3;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 64;

    /// <summary>The terminal was closed (SIGHUP), and the command did not come to its end in time.</summary>
    public const int HungUp = 129;

    /// <summary>Asked to stop (SIGTERM), and the command did not come to its end in time.</summary>
    public const int Terminated = 143;

    /// <summary>Stopped by a signal, after flushing.</summary>
    public const int Stopped = 130;
}
