namespace Paddock.Images;

/// <summary>Exit codes of the native commands; `check` uses those of qemu-img.</summary>
internal static class NativeExit
{
    /// <summary>Success.</summary>
    public const int Success = 0;

    /// <summary>Failure; the reason is on standard error.</summary>
    public const int Failure = 1;

    /// <summary>`check` found corruption and did not repair all of it.</summary>
    public const int Corrupt = 2;

    /// <summary>`check` found leaked clusters, but no corruption, and did not repair all of them.</summary>
    public const int Leaks = 3;

    /// <summary>Unknown command or option, or an invalid value.</summary>
    public const int Usage = 64;

    /// <summary>The terminal was closed (SIGHUP) and the command did not finish in time.</summary>
    public const int HungUp = 129;

    /// <summary>The command got SIGTERM and did not finish in time.</summary>
    public const int Terminated = 143;

    /// <summary>Stopped by a signal, after flushing.</summary>
    public const int Stopped = 130;
}
