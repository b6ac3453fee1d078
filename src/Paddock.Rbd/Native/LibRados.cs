using System.Runtime.InteropServices;

namespace Paddock.Rbd.Native;

/// <summary>The calls of librados that are used. All return 0, or a negative error number.</summary>
internal static partial class LibRados
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

    [LibraryImport(Name, EntryPoint = "rados_shutdown")]
    public static partial void Shutdown(nint cluster);
}
