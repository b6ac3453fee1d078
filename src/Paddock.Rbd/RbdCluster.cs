using System.Text;
using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>A connection to a cluster, with one pool of it. Its calls wait for the cluster.</summary>
internal sealed class RbdCluster : IDisposable
{
    // Ceph's own default is five minutes
    private const string MountTimeout = "client_mount_timeout", DefaultTimeout = "300", ShortTimeout = "30";

    private const string FileVariable = "CEPH_CONF";

    private readonly RbdTarget _target;
    private nint _cluster;

    private RbdCluster(nint cluster, RbdTarget target) => (_cluster, _target) = (cluster, target);

    /// <summary>The connection, for calls of librados.</summary>
    public nint Handle => _cluster;

    /// <summary>The pool and namespace, for calls of librbd.</summary>
    public nint Pool { get; private set; }

    /// <summary>This client's number: locks name it client.NUMBER.</summary>
    public long ClientId => (long)LibRados.GetInstanceId(_cluster);

    /// <summary>Connects.</summary>
    /// <param name="target">The cluster and the pool.</param>
    /// <param name="caches">Whether librbd may keep written data until the next flush.</param>
    /// <exception cref="BlockException">The libraries, the cluster or the pool cannot be reached, or the user is not accepted.</exception>
    public static RbdCluster Connect(RbdTarget target, bool caches)
    {
        CephLibraries.Require();
        RbdErrors.Check(LibRados.Create(out nint handle, target.User), "cannot set up a connection to Ceph");
        var cluster = new RbdCluster(handle, target);
        try
        {
            cluster.Configure(target, caches);
            int connected = LibRados.Connect(handle);
            if (connected < 0)
            {
                throw RbdErrors.OfConnection(connected, target);
            }

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

    /// <summary>Disconnects; images must be closed.</summary>
    public void Dispose()
    {
        if (Pool != 0)
        {
            LibRados.ClosePool(Pool);
            Pool = 0;
        }

        if (_cluster != 0)
        {
            LibRados.Shutdown(_cluster);
            _cluster = 0;
        }
    }

    private nint OpenPool()
    {
        RbdErrors.Check(LibRados.OpenPool(_cluster, _target.Pool, out nint pool), $"error opening pool {_target.Pool}");
        if (_target.Namespace.Length > 0)
        {
            LibRados.SetNamespace(pool, _target.Namespace);
        }

        return pool;
    }

    private void Configure(RbdTarget target, bool caches)
    {
        // librados sees the variable only as the process was started with it
        string? file = target.ConfigurationFile ?? Environment.GetEnvironmentVariable(FileVariable);
        int read = LibRados.ReadConfiguration(_cluster, string.IsNullOrEmpty(file) ? null : file);

        // options alone may describe the cluster, without a file
        if (read < 0 && !string.IsNullOrEmpty(file))
        {
            throw RbdErrors.Of(read, $"error reading conf file {file}");
        }

        Set("rbd_cache", caches ? "true" : "false");

        // every user of a storage flushes what must be durable, from the first write on
        Set("rbd_cache_writethrough_until_flush", "false");
        if (Get(MountTimeout) == DefaultTimeout)
        {
            Set(MountTimeout, ShortTimeout);
        }

        foreach (var (key, value) in target.Options)
        {
            RbdErrors.Check(LibRados.Set(_cluster, key, value), $"invalid conf option {key}");
        }

        // a lock that is broken without it lets the old owner write on
        Set("rbd_blocklist_on_break_lock", "true");
        if (target.Monitors is { } monitors)
        {
            Set("mon_host", monitors);
        }

        if (target.Key is { } secret && LibRados.Set(_cluster, "key", secret) < 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "the key is not valid: expected base64, as 'ceph auth get-key' prints it");
        }
    }

    private void Set(string option, string value)
        => RbdErrors.Check(LibRados.Set(_cluster, option, value), $"cannot set {option} to '{value}'");

    private string Get(string option)
    {
        Span<byte> text = stackalloc byte[64];
        return LibRados.Get(_cluster, option, text, (nuint)text.Length) < 0 ? ""
            : Encoding.UTF8.GetString(text[..Math.Max(text.IndexOf((byte)0), 0)]);
    }
}
