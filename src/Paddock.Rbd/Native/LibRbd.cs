using System.Runtime.InteropServices;

namespace Paddock.Rbd.Native;

/// <summary>The calls of librbd that are used. All return 0 or more, or a negative error number.</summary>
internal static unsafe partial class LibRbd
{
    /// <summary>Its name for the dynamic linker.</summary>
    public const string Name = "librbd.so.1";

    public const ulong FeatureExclusiveLock = 1 << 2, FeatureFastDiff = 1 << 4;
    public const ulong FlagObjectMapInvalid = 1 << 0, FlagFastDiffInvalid = 1 << 1;
    public const int LockExclusive = 0;

    /// <summary>A write completes when it is durable, whatever the cache does with others.</summary>
    public const int ForceUnitAccess = 0x80;

    public const int OptionOrder = 2, OptionCloneFormat = 12;

    /// <summary>Zeroes are stored, not left out.</summary>
    public const int ZeroThick = 1;

    [LibraryImport(Name, EntryPoint = "rbd_open", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(nint context, string name, out nint image, string? snapshot);

    [LibraryImport(Name, EntryPoint = "rbd_open_read_only", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int OpenReadOnly(nint context, string name, out nint image, string? snapshot);

    [LibraryImport(Name, EntryPoint = "rbd_close")]
    public static partial int Close(nint image);

    [LibraryImport(Name, EntryPoint = "rbd_image_options_create")]
    public static partial void CreateOptions(out nint options);

    [LibraryImport(Name, EntryPoint = "rbd_image_options_set_uint64")]
    public static partial int SetOption(nint options, int name, ulong value);

    [LibraryImport(Name, EntryPoint = "rbd_image_options_destroy")]
    public static partial void DestroyOptions(nint options);

    [LibraryImport(Name, EntryPoint = "rbd_create4", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Create(nint context, string name, ulong size, nint options);

    [LibraryImport(Name, EntryPoint = "rbd_remove", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Remove(nint context, string name);

    [LibraryImport(Name, EntryPoint = "rbd_snap_create", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CreateSnapshot(nint image, string name);

    [LibraryImport(Name, EntryPoint = "rbd_snap_remove", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveSnapshot(nint image, string name);

    [LibraryImport(Name, EntryPoint = "rbd_clone3", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Clone(
        nint parentContext, string parent, string snapshot, nint cloneContext, string clone, nint options);

    [LibraryImport(Name, EntryPoint = "rbd_resize")]
    public static partial int Resize(nint image, ulong size);

    [LibraryImport(Name, EntryPoint = "rbd_stat")]
    public static partial int Stat(nint image, out ImageInformation information, nuint size);

    [LibraryImport(Name, EntryPoint = "rbd_get_size")]
    public static partial int GetSize(nint image, out ulong size);

    [LibraryImport(Name, EntryPoint = "rbd_get_stripe_unit")]
    public static partial int GetStripeUnit(nint image, out ulong bytes);

    [LibraryImport(Name, EntryPoint = "rbd_get_features")]
    public static partial int GetFeatures(nint image, out ulong features);

    [LibraryImport(Name, EntryPoint = "rbd_get_flags")]
    public static partial int GetFlags(nint image, out ulong flags);

    /// <summary>Lists the settings that an open image has; fails with ERANGE, and sets the count, if there are more.</summary>
    [LibraryImport(Name, EntryPoint = "rbd_config_image_list")]
    public static partial int ListSettings(nint image, Setting* settings, ref int count);

    [LibraryImport(Name, EntryPoint = "rbd_config_image_list_cleanup")]
    public static partial void FreeSettings(Setting* settings, int count);

    [LibraryImport(Name, EntryPoint = "rbd_lock_acquire")]
    public static partial int AcquireLock(nint image, int mode);

    [LibraryImport(Name, EntryPoint = "rbd_lock_release")]
    public static partial int ReleaseLock(nint image);

    /// <summary>Breaks the lock of a client, dead or alive, which is blocklisted before if the configuration has it so.</summary>
    /// <param name="image">The image, open for writing.</param>
    /// <param name="mode"><see cref="LockExclusive"/>.</param>
    /// <param name="owner">Address of the client; fails with EBUSY if another one has the lock.</param>
    [LibraryImport(Name, EntryPoint = "rbd_lock_break", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int BreakLock(nint image, int mode, string owner);

    [LibraryImport(Name, EntryPoint = "rbd_get_id")]
    public static partial int GetId(nint image, Span<byte> id, nuint size);

    /// <summary>Lists the addresses of those who hold the lock: at most one; fails with ENOENT if nobody does.</summary>
    [LibraryImport(Name, EntryPoint = "rbd_lock_get_owners")]
    public static partial int GetLockOwners(nint image, out int mode, byte** owners, ref nuint count);

    [LibraryImport(Name, EntryPoint = "rbd_lock_get_owners_cleanup")]
    public static partial void FreeLockOwners(byte** owners, nuint count);

    [LibraryImport(Name, EntryPoint = "rbd_watchers_list")]
    public static partial int ListWatchers(nint image, Watcher* watchers, ref nuint count);

    [LibraryImport(Name, EntryPoint = "rbd_watchers_list_cleanup")]
    public static partial void FreeWatchers(Watcher* watchers, nuint count);

    [LibraryImport(Name, EntryPoint = "rbd_diff_iterate2", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int IterateDiff(
        nint image, string? fromSnapshot, ulong offset, ulong length, byte includeParent, byte wholeObject,
        delegate* unmanaged[Cdecl]<ulong, nuint, int, nint, int> found, nint argument);

    [LibraryImport(Name, EntryPoint = "rbd_aio_create_completion")]
    public static partial int CreateCompletion(nint argument, delegate* unmanaged[Cdecl]<nint, nint, void> completed, out nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_get_return_value")]
    public static partial nint ResultOf(nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_release")]
    public static partial void Release(nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_read")]
    public static partial int Read(nint image, ulong offset, nuint length, void* buffer, nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_write")]
    public static partial int Write(nint image, ulong offset, nuint length, void* buffer, nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_write2")]
    public static partial int Write(nint image, ulong offset, nuint length, void* buffer, nint completion, int flags);

    [LibraryImport(Name, EntryPoint = "rbd_aio_write_zeroes")]
    public static partial int WriteZeroes(nint image, ulong offset, nuint length, nint completion, int zeroFlags, int flags);

    [LibraryImport(Name, EntryPoint = "rbd_aio_discard")]
    public static partial int Discard(nint image, ulong offset, ulong length, nint completion);

    [LibraryImport(Name, EntryPoint = "rbd_aio_flush")]
    public static partial int Flush(nint image, nint completion);

    /// <summary>rbd_image_info_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ImageInformation
    {
        public ulong Size;
        public ulong ObjectSize;
        public ulong ObjectCount;
        public int Order;
        public fixed byte BlockNamePrefix[24];
        public long ParentPool;
        public fixed byte ParentName[96];
    }

    /// <summary>rbd_config_option_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Setting
    {
        public byte* Name;
        public byte* Value;
        public int Source;
    }

    /// <summary>rbd_image_watcher_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Watcher
    {
        public byte* Address;
        public long Id;
        public ulong Cookie;
    }
}
