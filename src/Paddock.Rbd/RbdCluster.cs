using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>One pool of a cluster, through a client of its own or a shared one. Its calls wait for the cluster.</summary>
internal sealed class RbdCluster : IDisposable
{
    private RbdConnection? _connection;

    private readonly RbdTarget _target;

    private RbdCluster(RbdConnection connection, RbdTarget target) => (_connection, _target) = (connection, target);

    /// <summary>The connection, for calls of librados.</summary>
    public nint Handle => _connection?.Cluster ?? 0;

    /// <summary>The pool and namespace, for calls of librbd.</summary>
    public nint Pool { get; private set; }

    /// <summary>This client's number: locks name it client.NUMBER.</summary>
    public long ClientId => _connection is { } connection ? (long)LibRados.GetInstanceId(connection.Cluster) : 0;

    /// <summary>Connects.</summary>
    /// <param name="target">The cluster and the pool, and whether the client may be shared.</param>
    /// <param name="caches">Whether librbd may keep written data until the next flush.</param>
    /// <param name="isReader">Whether no image is locked through it.</param>
    /// <exception cref="BlockException">The libraries, the cluster or the pool cannot be reached, or the user is not accepted.</exception>
    public static RbdCluster Connect(RbdTarget target, bool caches, bool isReader = false)
    {
        var cluster = new RbdCluster(RbdConnection.Open(target, caches, isReader), target);
        try
        {
            cluster.Pool = cluster.OpenPool();
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens pool and namespace once more, for objects of Paddock's own: while the pool is full, requests fail in place of waiting, and
    /// objects can be removed.
    /// </summary>
    public nint OpenContext()
    {
        nint pool = OpenPool();
        LibRados.SetFullTry(pool);
        return pool;
    }

    /// <summary>Lets nobody join the client any more: the cluster has blocklisted it.</summary>
    public void Retire() => _connection?.Retire();

    /// <summary>Disconnects; images must be closed.</summary>
    public void Dispose()
    {
        if (Pool != 0)
        {
            LibRados.ClosePool(Pool);
            Pool = 0;
        }

        _connection?.Close();
        _connection = null;
    }

    private nint OpenPool()
    {
        int opened = LibRados.OpenPool(Handle, _target.Pool, out nint pool);
        RbdErrors.Check(opened, $"error opening pool {_target.Pool}", RbdErrors.OfPool(_target));
        if (_target.Namespace.Length > 0)
        {
            LibRados.SetNamespace(pool, _target.Namespace);
        }

        return pool;
    }
}
