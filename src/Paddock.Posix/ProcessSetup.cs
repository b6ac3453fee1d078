using System.Globalization;

namespace Paddock.Posix;

/// <summary>
/// Initialization of every command, so that failures of system calls become errors instead of ending the process.
/// </summary>
internal static class ProcessSetup
{
    private const int FileSizeSignal = 25, Ignore = 1, GetDescriptorFlags = 1, CloseOnExec = 1;

    private static int _closed;

    /// <summary>Prepares signals, the three standard descriptors, and the runtime's diagnostics.</summary>
    public static void Run()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        // a write beyond the file-size limit (ulimit -f, LimitFSIZE=) then fails with EFBIG, as in QEMU's tools
        _ = Native.SetHandler(FileSizeSignal, Ignore);
        for (int descriptor = 0; descriptor <= 2; descriptor++)
        {
            OccupyIfClosed(descriptor);
        }

        RemoveDiagnosticSockets();
    }

    /// <summary>Whether the process was started without this standard descriptor.</summary>
    internal static bool IsClosed(int descriptor) => (Volatile.Read(ref _closed) & (1 << descriptor)) != 0;

    // A file that is opened later must not become standard output by its number. Where the runtime was faster, the descriptor is its own:
    // what was inherited from another program is never close-on-exec.
    private static void OccupyIfClosed(int descriptor)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        int flags = Native.ControlDescriptor(descriptor, GetDescriptorFlags, 0);
        if (flags < 0)
        {
            _ = Native.Open("/dev/null\0"u8, Native.OpenReadWrite, 0);
        }

        if (flags < 0 || (flags & CloseOnExec) != 0)
        {
            Interlocked.Or(ref _closed, 1 << descriptor);
        }
    }

    // The native executable has no diagnostics server. The runtime's listens for debuggers and profilers before any of our code runs, and
    // can be told not to by environment variables alone: without its files no one can connect to it.
    private static void RemoveDiagnosticSockets()
    {
        if (AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") is null
            || Environment.GetEnvironmentVariable("DOTNET_EnableDiagnostics") == "0")
        {
            return;
        }

        string process = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        foreach (string pattern in new[] { $"dotnet-diagnostic-{process}-*", $"clr-debug-pipe-{process}-*" })
        {
            try
            {
                foreach (string file in Directory.EnumerateFiles(Path.GetTempPath(), pattern))
                {
                    File.Delete(file);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // a temporary folder that cannot be read holds no socket that we could remove
            }
        }
    }
}
