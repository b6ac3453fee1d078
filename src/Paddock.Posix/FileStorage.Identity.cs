using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Which file it is.</summary>
public sealed partial class FileStorage
{
    /// <summary>Whether it is a block device: it keeps its length, and holds what was written to it before.</summary>
    public bool IsBlockDevice => _isBlockDevice;

    /// <summary>Whether two names lead to the same file or device, whatever the names are; false where one of them leads to none.</summary>
    public static bool IsSameFile(string one, string other)
        => IdentityOf(one) is { } identity && identity == IdentityOf(other);

    /// <summary>Whether there is something by this name, be it a symbolic link that leads nowhere.</summary>
    public static bool IsTaken(string path) => IdentityOf(path, follow: false) is not null;

    private static string? IdentityOf(string path, bool follow = true)
    {
        if (!OperatingSystem.IsLinux())
        {
            return File.Exists(path) ? PortableFacts(path).Identity : null;
        }

        try
        {
            using var found = OpenPath(ByteText.ToPath(path), Native.OpenCloseOnExec | Native.OpenPathOnly | (follow ? 0 : Native.OpenNoFollow), path);
            return FactsOf(found, path).Identity;
        }
        catch (BlockException)
        {
            return null;
        }
    }
}
