using System.Runtime.InteropServices;

namespace Paddock.Rbd.Native;

/// <summary>The calls of librados that are used. All return 0, or a negative error number.</summary>
internal static unsafe partial class LibRados
{
    /// <summary>Its name for the dynamic linker.</summary>
    public const string Name = "librados.so.2";

    /// <param name="cluster">Receives a handle without a connection.</param>
    /// <param name="id">User without "client."; null: the configured one.</param>
    [LibraryImport(Name, EntryPoint = "rados_create", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Create(out nint cluster, string? id);

    /// <param name="cluster">The handle.</param>
    /// <param name="path">A file; null: the usual ones, CEPH_CONF among them.</param>
    [LibraryImport(Name, EntryPoint = "rados_conf_read_file", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadConfiguration(nint cluster, string? path);

    [LibraryImport(Name, EntryPoint = "rados_conf_set", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Set(nint cluster, string option, string value);

    [LibraryImport(Name, EntryPoint = "rados_conf_get", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Get(nint cluster, string option, Span<byte> value, nuint size);

    [LibraryImport(Name, EntryPoint = "rados_connect")]
    public static partial int Connect(nint cluster);

    /// <summary>The number in this client's name, client.NUMBER.</summary>
    [LibraryImport(Name, EntryPoint = "rados_get_instance_id")]
    public static partial ulong GetInstanceId(nint cluster);

    [LibraryImport(Name, EntryPoint = "rados_ioctx_create", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int OpenPool(nint cluster, string pool, out nint context);

    [LibraryImport(Name, EntryPoint = "rados_ioctx_set_namespace", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetNamespace(nint context, string name);

    [LibraryImport(Name, EntryPoint = "rados_ioctx_destroy")]
    public static partial void ClosePool(nint context);

    /// <summary>Lets requests to a full pool fail, and removals succeed, in place of waiting for space.</summary>
    [LibraryImport(Name, EntryPoint = "rados_set_pool_full_try")]
    public static partial void SetFullTry(nint context);

    [LibraryImport(Name, EntryPoint = "rados_shutdown")]
    public static partial void Shutdown(nint cluster);

    /// <summary>Adds a client to the blocklist of the cluster.</summary>
    /// <param name="cluster">The handle.</param>
    /// <param name="address">IP:PORT/NONCE.</param>
    /// <param name="seconds">How long it stays; 0: the cluster's default, mostly an hour.</param>
    [LibraryImport(Name, EntryPoint = "rados_blocklist_add", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int AddToBlocklist(nint cluster, string address, uint seconds);

    /// <summary>Waits until the client has the latest map of the cluster, which has the blocklist.</summary>
    [LibraryImport(Name, EntryPoint = "rados_wait_for_latest_osdmap")]
    public static partial int WaitForLatestMap(nint cluster);

    [LibraryImport(Name, EntryPoint = "rados_aio_create_completion2")]
    public static partial int CreateCompletion(nint argument, delegate* unmanaged[Cdecl]<nint, nint, void> completed, out nint completion);

    [LibraryImport(Name, EntryPoint = "rados_aio_get_return_value")]
    public static partial int ResultOf(nint completion);

    [LibraryImport(Name, EntryPoint = "rados_aio_release")]
    public static partial void Release(nint completion);

    [LibraryImport(Name, EntryPoint = "rados_aio_read", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Read(nint context, string name, nint completion, nint buffer, nuint length, ulong offset);

    /// <summary>Calls a method of an object class; completes with the length of its answer.</summary>
    [LibraryImport(Name, EntryPoint = "rados_aio_exec", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Execute(
        nint context, string name, nint completion, string type, string method, nint input, nuint inputLength, nint output,
        nuint outputLength);

    [LibraryImport(Name, EntryPoint = "rados_create_write_op")]
    public static partial nint CreateWrites();

    [LibraryImport(Name, EntryPoint = "rados_release_write_op")]
    public static partial void ReleaseWrites(nint writes);

    /// <summary>Fails the writes unless the object has these bytes.</summary>
    [LibraryImport(Name, EntryPoint = "rados_write_op_cmpext")]
    public static partial void Compare(nint writes, ReadOnlySpan<byte> data, nuint length, ulong offset, nint result);

    [LibraryImport(Name, EntryPoint = "rados_write_op_write")]
    public static partial void Write(nint writes, ReadOnlySpan<byte> data, nuint length, ulong offset);

    [LibraryImport(Name, EntryPoint = "rados_write_op_remove")]
    public static partial void RemoveObject(nint writes);

    [LibraryImport(Name, EntryPoint = "rados_aio_write_op_operate", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Operate(nint writes, nint context, nint completion, string name, nint time, int flags);

    [LibraryImport(Name, EntryPoint = "rados_aio_watch2", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Watch(
        nint context, string name, nint completion, nint handle,
        delegate* unmanaged[Cdecl]<nint, ulong, ulong, ulong, nint, nuint, void> notified,
        delegate* unmanaged[Cdecl]<nint, ulong, int, void> failed, uint timeout, nint argument);

    [LibraryImport(Name, EntryPoint = "rados_aio_unwatch")]
    public static partial int Unwatch(nint context, ulong handle, nint completion);

    /// <summary>Waits until no callback of a watch is running.</summary>
    [LibraryImport(Name, EntryPoint = "rados_watch_flush")]
    public static partial int FlushWatches(nint cluster);

    /// <summary>Notifies those who watch an object; completes when all have answered, or when the time is over.</summary>
    [LibraryImport(Name, EntryPoint = "rados_aio_notify", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Notify(
        nint context, string name, nint completion, nint data, int length, ulong milliseconds, nint reply, nint replyLength);

    [LibraryImport(Name, EntryPoint = "rados_notify_ack", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Acknowledge(nint context, string name, ulong notification, ulong handle, nint data, int length);

    [LibraryImport(Name, EntryPoint = "rados_buffer_free")]
    public static partial void Free(nint buffer);
}
