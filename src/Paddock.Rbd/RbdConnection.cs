using System.Text;
using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// One client of a cluster: about fifteen threads, and several sockets. Targets with <see cref="RbdTarget.SharesConnection"/> share
/// clients of up to <see cref="MaxUsers"/> images each. Images that are written and images that are only read have different clients,
/// because a client that loses a lock is blocklisted with everything that it has open.
/// </summary>
internal sealed class RbdConnection
{
    /// <summary>Most users of a shared client: a failure of one may end all of them, and its threads are a limit of its speed.</summary>
    public const int MaxUsers = 128;

    /// <summary>The variable that names the configuration file where names do not.</summary>
    public const string FileVariable = "CEPH_CONF";

    // Ceph's own default is five minutes
    private const string MountTimeout = "client_mount_timeout", DefaultTimeout = "300", ShortTimeout = "30";

    private static readonly Lock SharedLock = new();
    private static readonly List<RbdConnection> Shared = [];

    private readonly string _key;
    private readonly Lock _opening = new();
    private int _users = 1;
    private nint _cluster;

    private RbdConnection(string key) => _key = key;

    /// <summary>The handle, for calls of librados.</summary>
    public nint Cluster => _cluster;

    /// <summary>Connects, or joins a client that is shared.</summary>
    /// <param name="target">The cluster and the user.</param>
    /// <param name="caches">Whether librbd may keep written data until the next flush.</param>
    /// <param name="isReader">Whether no image is locked through it.</param>
    /// <exception cref="BlockException">The libraries or the cluster cannot be reached, or the user is not accepted.</exception>
    public static RbdConnection Open(RbdTarget target, bool caches, bool isReader)
    {
        CephLibraries.Require();
        var connection = target.SharesConnection ? Join(KeyOf(target, caches, isReader)) : new RbdConnection("");
        try
        {
            lock (connection._opening)
            {
                if (connection._cluster == 0)
                {
                    connection._cluster = Connect(target, caches);
                }
            }

            return connection;
        }
        catch
        {
            connection.Close();
            throw;
        }
    }

    /// <summary>Lets nobody join any more: the cluster has blocklisted this client.</summary>
    public void Retire()
    {
        lock (SharedLock)
        {
            Shared.Remove(this);
        }
    }

    /// <summary>Leaves the client, and disconnects it after its last user; images must be closed.</summary>
    public void Close()
    {
        lock (SharedLock)
        {
            if (--_users > 0)
            {
                return;
            }

            Shared.Remove(this);
        }

        if (_cluster != 0)
        {
            LibRados.Shutdown(_cluster);
            _cluster = 0;
        }
    }

    private static RbdConnection Join(string key)
    {
        lock (SharedLock)
        {
            var connection = Shared.Find(c => c._users < MaxUsers && c._key == key);
            if (connection is null)
            {
                connection = new RbdConnection(key);
                Shared.Add(connection);
            }
            else
            {
                connection._users++;
            }

            return connection;
        }
    }

    // NUL separates: no part can hold it
    private static string KeyOf(RbdTarget target, bool caches, bool isReader)
    {
        string?[] parts =
        [
            target.User, FileOf(target), target.Monitors, target.Key, caches ? "cache" : "", isReader ? "reader" : "",
            .. target.Options.SelectMany(static o => new[] { o.Key, o.Value }),
        ];
        return string.Join('\0', parts);
    }

    private static nint Connect(RbdTarget target, bool caches)
    {
        RbdErrors.Check(LibRados.Create(out nint handle, target.User), "cannot set up a connection to Ceph");
        try
        {
            Configure(handle, target, caches);
            int connected = LibRados.Connect(handle);
            return connected < 0 ? throw RbdErrors.OfConnection(connected, target) : handle;
        }
        catch
        {
            LibRados.Shutdown(handle);
            throw;
        }
    }

    // librados sees the variable only as the process was started with it
    private static string? FileOf(RbdTarget target)
        => (target.ConfigurationFile ?? Environment.GetEnvironmentVariable(FileVariable)) is { Length: > 0 } file ? file : null;

    private static void Configure(nint cluster, RbdTarget target, bool caches)
    {
        string? file = FileOf(target);
        int read = LibRados.ReadConfiguration(cluster, file);

        // options alone may describe the cluster, without a file
        if (read < 0 && file is not null)
        {
            throw RbdErrors.Of(read, $"error reading conf file {file}");
        }

        Set(cluster, "rbd_cache", caches ? "true" : "false");

        // every user of a storage flushes what must be durable, from the first write on
        Set(cluster, "rbd_cache_writethrough_until_flush", "false");
        if (Get(cluster, MountTimeout) == DefaultTimeout)
        {
            Set(cluster, MountTimeout, ShortTimeout);
        }

        foreach (var (key, value) in target.Options)
        {
            RbdErrors.Check(LibRados.Set(cluster, key, value), $"invalid conf option {key}");
        }

        // a lock that is broken without it lets the old owner write on
        Set(cluster, "rbd_blocklist_on_break_lock", "true");
        if (target.Monitors is { } monitors)
        {
            Set(cluster, "mon_host", monitors);
        }

        if (target.Key is { } secret && LibRados.Set(cluster, "key", secret) < 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "the key is not valid: expected base64, as 'ceph auth get-key' prints it");
        }
    }

    private static void Set(nint cluster, string option, string value)
        => RbdErrors.Check(LibRados.Set(cluster, option, value), $"cannot set {option} to '{value}'");

    private static string Get(nint cluster, string option)
    {
        Span<byte> text = stackalloc byte[64];
        return LibRados.Get(cluster, option, text, (nuint)text.Length) < 0 ? ""
            : Encoding.UTF8.GetString(text[..Math.Max(text.IndexOf((byte)0), 0)]);
    }
}
