using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// A snapshot of an image that clones are made of: images that have its data until they are written. Clones are of format 2, so that the
/// snapshot needs no protection, and can be removed at once: the cluster keeps its data for as long as there are clones.
/// </summary>
internal sealed class RbdCloneSource : IAsyncDisposable
{
    private readonly RbdTarget _parent;
    private readonly RbdCluster _cluster;
    private readonly string _snapshot;

    private RbdCloneSource(RbdTarget parent, RbdCluster cluster, string snapshot)
        => (_parent, _cluster, _snapshot) = (parent, cluster, snapshot);

    /// <summary>Takes a snapshot, or uses the one in the name.</summary>
    /// <param name="parent">The image, or a snapshot of it.</param>
    /// <exception cref="BlockException">The image does not exist, or the user may not take snapshots.</exception>
    public static Task<RbdCloneSource> OpenAsync(RbdTarget parent) => Task.Run(() =>
    {
        var cluster = RbdCluster.Connect(parent, caches: false, isReader: true);
        try
        {
            return new RbdCloneSource(parent, cluster, parent.Snapshot ?? Take(cluster, parent));
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    });

    /// <summary>Creates a clone.</summary>
    /// <param name="clone">The new image, in the same cluster; it must not exist.</param>
    /// <exception cref="BlockException">It exists (<see cref="BlockError.AlreadyExists"/>), or cannot be created.</exception>
    public Task CreateAsync(RbdTarget clone) => Task.Run(() =>
    {
        using var cluster = RbdCluster.Connect(clone, caches: false, isReader: true);
        LibRbd.CreateOptions(out nint options);
        try
        {
            RbdErrors.Check(LibRbd.SetOption(options, LibRbd.OptionCloneFormat, 2), "cannot set the format of clones");
            int result = LibRbd.Clone(_cluster.Pool, _parent.Image, _snapshot, cluster.Pool, clone.Image, options);
            RbdErrors.Check(result, $"cannot clone '{_parent.Spec}' to '{clone.Spec}'", RbdErrors.OfImage(_parent));
        }
        finally
        {
            LibRbd.DestroyOptions(options);
        }
    });

    /// <summary>Removes the snapshot if it was taken here; its clones stay.</summary>
    public async ValueTask DisposeAsync() => await Task.Run(() =>
    {
        try
        {
            if (_parent.Snapshot is null)
            {
                Remove();
            }
        }
        finally
        {
            _cluster.Dispose();
        }
    });

    private static string Take(RbdCluster cluster, RbdTarget parent)
    {
        string snapshot = $"paddock-{Guid.NewGuid():N}";
        RbdErrors.Check(
            LibRbd.Open(cluster.Pool, parent.Image, out nint image, null), $"error reading header from {parent.Spec}",
            RbdErrors.OfImage(parent));
        try
        {
            // a client that has the exclusive lock takes the snapshot itself, and keeps the lock
            RbdErrors.Check(LibRbd.CreateSnapshot(image, snapshot), $"cannot take a snapshot of '{parent.Spec}'");
            return snapshot;
        }
        finally
        {
            _ = LibRbd.Close(image);
        }
    }

    private void Remove()
    {
        RbdErrors.Check(LibRbd.Open(_cluster.Pool, _parent.Image, out nint image, null), $"error reading header from {_parent.Spec}");
        try
        {
            RbdErrors.Check(LibRbd.RemoveSnapshot(image, _snapshot), $"cannot remove the snapshot '{_snapshot}' of '{_parent.Spec}'");
        }
        finally
        {
            _ = LibRbd.Close(image);
        }
    }
}
