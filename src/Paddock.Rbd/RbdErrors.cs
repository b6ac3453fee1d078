using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Rbd;

/// <summary>Failures of Ceph's libraries in words that say what to do.</summary>
internal static class RbdErrors
{
    /// <summary>Why a client that is blocklisted fails.</summary>
    public const string Blocklisted
        = "the cluster has blocklisted this client: another one has taken the image over (ceph osd blocklist ls)";

    /// <summary>ESHUTDOWN: the client is blocklisted.</summary>
    public const int Shutdown = 108;

    /// <summary>What calls return to a client that is blocklisted, and for an object that does not exist.</summary>
    public const int BlocklistedResult = -Shutdown, NotFoundResult = -NotFound;

    private const int NotPermitted = 1, NotFound = 2, AccessDenied = 13, ReadOnly = 30, NoSpace = 28, TimedOut = 110, Quota = 122;

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
            NotPermitted or AccessDenied => "; the key was not accepted: check the user (:id=NAME) and the keyring",
            _ => "",
        };
        return new BlockException(failure.Error, failure.Message + advice, failure) { Errno = failure.Errno };
    }

    /// <summary>What to do about a pool that cannot be opened.</summary>
    public static RbdAdvice OfPool(RbdTarget target)
        => new($"the cluster has no pool '{target.Pool}' ('ceph osd pool ls' lists them)", CapabilitiesFor(target));

    /// <summary>What to do about an image that cannot be opened.</summary>
    public static RbdAdvice OfImage(RbdTarget target)
        => new(
            $"the pool has no such image{(target.Snapshot is null ? "" : " or snapshot")} ('rbd ls {target.Pool}"
            + $"{(target.Namespace.Length > 0 ? "/" + target.Namespace : "")}' lists {(target.Snapshot is null ? "them" : "images")})",
            CapabilitiesFor(target));

    /// <summary>What to do about an image that cannot be created.</summary>
    public static RbdAdvice OfNewImage(RbdTarget target)
        => new($"the pool has no namespace '{target.Namespace}' ('rbd namespace ls {target.Pool}' lists them)", CapabilitiesFor(target));

    /// <summary>Throws if a call failed.</summary>
    /// <param name="result">What the call returned.</param>
    /// <param name="what">What failed, for the message.</param>
    /// <param name="advice">What to do about it; null: nothing is known.</param>
    public static void Check(long result, string what, RbdAdvice? advice = null)
    {
        if (result < 0)
        {
            var failure = Of(result, what);
            string? remedy = failure.Errno switch
            {
                NotFound => advice?.IfNotFound,
                NotPermitted or AccessDenied => advice?.IfNotPermitted,
                _ => null,
            };
            throw remedy is null ? failure
                : new BlockException(failure.Error, $"{failure.Message}; {remedy}", failure) { Errno = failure.Errno };
        }
    }

    private static string CapabilitiesFor(RbdTarget target)
        => $"{(target.User is { } user ? "client." + user : "the user")} may not use the pool: it needs the capabilities mon 'profile rbd' "
            + $"and osd 'profile rbd pool={target.Pool}'";
}

/// <summary>What to do about a failure.</summary>
/// <param name="IfNotFound">About ENOENT.</param>
/// <param name="IfNotPermitted">About EPERM and EACCES.</param>
internal sealed record RbdAdvice(string IfNotFound, string IfNotPermitted);
