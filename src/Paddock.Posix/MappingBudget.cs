using System.Globalization;

namespace Paddock.Posix;

/// <summary>
/// How much memory of others this process may map. Without a limit, one client with many small regions uses up the mappings that the kernel
/// grants a process (vm.max_map_count), and the next one that the runtime needs ends the server.
/// </summary>
/// <param name="mappings">Maximum number of mappings at once.</param>
/// <param name="bytes">Maximum bytes of all of them.</param>
internal sealed class MappingBudget(int mappings, long bytes)
{
    // what the kernel grants unless it is told otherwise
    private const int UsualMappings = 65530;

    private readonly Lock _lock = new();
    private int _mappings;
    private long _bytes;

    /// <summary>That of this process: half of the mappings that the kernel grants, and half of the address space.</summary>
    public static MappingBudget Process { get; } = new(Granted() / 2, 1L << 46);

    /// <summary>Takes a mapping.</summary>
    /// <returns>False if too many exist.</returns>
    public bool TryTake(long length)
    {
        lock (_lock)
        {
            if (_mappings >= mappings || length > bytes - _bytes)
            {
                return false;
            }

            _mappings++;
            _bytes += length;
            return true;
        }
    }

    /// <summary>Returns a mapping.</summary>
    public void Return(long length)
    {
        lock (_lock)
        {
            _mappings--;
            _bytes -= length;
        }
    }

    private static int Granted()
    {
        try
        {
            string text = File.ReadAllText("/proc/sys/vm/max_map_count");
            return int.TryParse(text, NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out int count) ? count : UsualMappings;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return UsualMappings;
        }
    }
}
