using System.Globalization;
using Paddock.Rbd;

namespace Paddock.Server.Standby;

/// <summary>Logs questions that an owner has not answered, and its replacement.</summary>
/// <param name="image">Name of the image.</param>
/// <param name="log">Receives the lines.</param>
internal sealed class SuccessionLog(string image, ServeLog log) : ISuccessionObserver
{
    /// <inheritdoc/>
    public void Unanswered(RbdOwner owner, OwnerSign sign, TimeSpan time)
        => log.Write(
            "owner silent", ("image", image), ("owner", owner.ToString()), ("ms", Milliseconds(time)), ("sign", NameOf(sign)));

    /// <inheritdoc/>
    public void Fenced(RbdOwner owner, TimeSpan breaking, TimeSpan lease)
        => log.Write(
            "owner fenced", ("image", image), ("owner", owner.ToString()), ("ms", Milliseconds(breaking)),
            ("lease_ms", Milliseconds(lease)));

    private static string NameOf(OwnerSign sign) => sign switch
    {
        OwnerSign.Silent => "silent",
        OwnerSign.NoLease => "no lease",
        OwnerSign.Disturbed => "cluster disturbed",
        _ => "unclear",
    };

    private static string Milliseconds(TimeSpan time) => time.TotalMilliseconds.ToString("F0", CultureInfo.InvariantCulture);
}
