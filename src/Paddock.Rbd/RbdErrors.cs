using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Rbd;

/// <summary>Failures of Ceph's libraries in words that say what to do.</summary>
internal static class RbdErrors
{
    /// <summary>Why a client that is blocklisted fails.</summary>
    public const string Blocklisted
        = "the cluster has blocklisted this client: another one has taken the image over (ceph osd blocklist ls)";

    /// <summary>What calls return to a client that is blocklisted, and for an object that does not exist.</summary>
    public const int BlocklistedResult = -Shutdown, NotFoundResult = -NotFound;

    private const int NotPermitted = 1, NotFound = 2, ReadOnly = 30, NoSpace = 28, Shutdown = 108, TimedOut = 110, Quota = 122;

    /// <summary>The failure of a call.</summary>
    /// <param name="result">What the call returned: a negative error number.</param>
    /// <param name="what">What failed, for the message.</param>
    public static BlockException Of(long result, string what)
    {
        int errno = (int)Math.Min(-result, int.MaxValue);
        string why = errno switch
        {
            Shutdown => Blocklisted,
            ReadOnly => "another client holds the exclusive lock of the image",
            NoSpace or Quota => $"{Errno.Describe(errno)}: the pool or the cluster is full",
            TimedOut => "Connection timed out: the cluster has not answered, or is full",
            _ => Errno.Describe(errno),
        };
        return new BlockException(Errno.ToBlockError(errno), $"{what}: {why}") { Errno = errno };
    }

    /// <summary>The failure to reach a cluster.</summary>
    public static BlockException OfConnection(long result, RbdTarget target)
    {
        string what = $"cannot connect to the Ceph cluster of '{target.Spec}'" + (target.User is { } user ? $" as client.{user}" : "");
        var failure = Of(result, what);
        string advice = failure.Errno switch
        {
            NotFound => "; no configuration or no keyring was found: add :conf=FILE to the name, or set CEPH_CONF",
            TimedOut => "; check the addresses of the monitors (mon host) and that they run",
            NotPermitted or 13 => "; the key was not accepted: check the user (:id=NAME) and the keyring",
            _ => "",
        };
        return new BlockException(failure.Error, failure.Message + advice, failure) { Errno = failure.Errno };
    }

    /// <summary>Throws if a call failed.</summary>
    public static void Check(long result, string what)
    {
        if (result < 0)
        {
            throw Of(result, what);
        }
    }
}
