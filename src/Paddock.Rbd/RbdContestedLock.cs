using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>The exclusive lock of an image that another client may hold, over a connection of its own.</summary>
internal sealed class RbdContestedLock : IContestedLock
{
    private const int Busy = -16;

    private readonly RbdTarget _target;
    private readonly RbdLock _lock;
    private readonly nint _image;

    private RbdContestedLock(RbdTarget target, RbdCluster cluster, nint image)
    {
        (_target, Cluster, _image) = (target, cluster, image);
        _lock = new RbdLock(cluster, image, target.ToString());
        Id = RbdLock.IdOf(image);
    }

    /// <summary>The connection; owned.</summary>
    public RbdCluster Cluster { get; }

    /// <summary>Id of the image.</summary>
    public string Id { get; }

    /// <summary>Connects; waits for the cluster.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public static RbdContestedLock Open(RbdTarget target)
    {
        var cluster = RbdCluster.Connect(target, caches: false, isReader: true);
        nint image = 0;
        try
        {
            RbdErrors.Check(
                LibRbd.OpenReadOnly(cluster.Pool, target.Image, out image, null), $"error reading header from {target.Spec}");
            return new RbdContestedLock(target, cluster, image);
        }
        catch
        {
            _ = image != 0 ? LibRbd.Close(image) : 0;
            cluster.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Task<LockHolder> ReadHolderAsync() => _lock.ReadHolderAsync();

    /// <inheritdoc/>
    public Task<bool> IsAliveAsync(RbdOwner owner) => Task.Run(() => _lock.IsAlive(owner, isOwn: false));

    /// <inheritdoc/>
    public Task<RbdOwner?> FindOwnerAsync()
        => WritableAsync(image => new RbdLock(Cluster, image, _target.ToString()).FindOwnerAsync());

    /// <inheritdoc/>
    public Task<bool> BreakAsync(RbdOwner owner) => WritableAsync(image =>
    {
        int broken = LibRbd.BreakLock(image, LibRbd.LockExclusive, owner.Address);
        if (broken is not (Busy or RbdErrors.NotFoundResult))
        {
            RbdErrors.Check(broken, $"cannot break the lock of {owner} on '{_target}'");
        }

        return Task.FromResult(broken >= 0);
    });

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Task.Run(() =>
    {
        _ = LibRbd.Close(_image);
        Cluster.Dispose();
    });

    // librbd shows the owner's address only to those who could write; nothing is written
    private async Task<T> WritableAsync<T>(Func<nint, Task<T>> work)
    {
        nint image = 0;
        RbdErrors.Check(
            await Task.Run(() => LibRbd.Open(Cluster.Pool, _target.Image, out image, null)), $"error reading header from {_target.Spec}");
        try
        {
            return await Task.Run(() => work(image));
        }
        finally
        {
            await Task.Run(() => LibRbd.Close(image));
        }
    }
}
