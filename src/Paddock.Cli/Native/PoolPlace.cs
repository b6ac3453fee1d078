using Paddock.Images.Nodes;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>Drives that are images in a pool of Ceph.</summary>
/// <param name="golden">The image that they are made of, in the same cluster.</param>
/// <param name="pool">Pool, or POOL/NAMESPACE; null: those of the golden image.</param>
internal sealed class PoolPlace(RbdTarget golden, string? pool) : IDrivePlace
{
    /// <inheritdoc/>
    public int AtOnce => 16;

    /// <inheritdoc/>
    public string NameOf(string drive)
    {
        string[] words = pool?.Split('/', 2) ?? [golden.Pool, golden.Namespace];
        var target = golden with { Pool = words[0], Namespace = words.ElementAtOrDefault(1) ?? "", Image = drive, Snapshot = null };

        // parsed again, because the names may be too long
        return RbdDriver.Parse(target.ToString()).ToString();
    }

    /// <inheritdoc/>
    public async ValueTask RemoveAsync(string name) => await RbdImage.RemoveAsync(RbdDriver.Parse(name) with { SharesConnection = true });

    /// <inheritdoc/>
    public void Dispose()
    {
        // a pool is not the farm's
    }
}
