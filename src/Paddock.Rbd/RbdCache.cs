using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>What librbd does with writes to an open image, and whether it may still hold some that have completed.</summary>
/// <param name="mode">When writes complete.</param>
internal sealed class RbdCache(RbdCacheMode mode)
{
    private const int MaxSettings = 512;

    private readonly Lock _gate = new();
    private volatile bool _isDirty;
    private int _flushes;

    /// <summary>Whether a write can be durable when it completes.</summary>
    public bool CanWriteThrough => mode != RbdCacheMode.Other;

    /// <summary>Whether everything that has completed is durable.</summary>
    public bool IsSettled
    {
        get
        {
            lock (_gate)
            {
                return !_isDirty && _flushes == 0;
            }
        }
    }

    /// <summary>Reads how librbd treats writes to an image: its own settings and those of its pool precede a client's.</summary>
    public static unsafe RbdCache Of(nint image)
    {
        var settings = new LibRbd.Setting[MaxSettings];
        int count = settings.Length;
        fixed (LibRbd.Setting* first = settings)
        {
            if (LibRbd.ListSettings(image, first, ref count) < 0)
            {
                return new RbdCache(RbdCacheMode.Other);
            }

            try
            {
                return new RbdCache(ModeOf(settings.AsSpan(0, count)));
            }
            finally
            {
                LibRbd.FreeSettings(first, count);
            }
        }
    }

    /// <summary>Records that a change has completed, perhaps in the cache alone.</summary>
    public void MarkDirty()
    {
        if (!_isDirty && mode != RbdCacheMode.Off)
        {
            _isDirty = true;
        }
    }

    /// <summary>Begins a flush; <see cref="EndFlush"/> must follow. False: there is nothing to flush.</summary>
    public bool TryBeginFlush()
    {
        lock (_gate)
        {
            if (!_isDirty && _flushes == 0)
            {
                return false;
            }

            // what completes from here on may be too late for this flush
            _isDirty = false;
            _flushes++;
            return true;
        }
    }

    /// <summary>Ends a flush.</summary>
    public void EndFlush(bool isDone)
    {
        lock (_gate)
        {
            _isDirty |= !isDone;
            _flushes--;
        }
    }

    private static unsafe RbdCacheMode ModeOf(ReadOnlySpan<LibRbd.Setting> settings)
    {
        string? caches = null, policy = null, persistent = null;
        foreach (var setting in settings)
        {
            switch (Marshal.PtrToStringUTF8((nint)setting.Name))
            {
                case "rbd_cache":
                    caches = Marshal.PtrToStringUTF8((nint)setting.Value);
                    break;
                case "rbd_cache_policy":
                    policy = Marshal.PtrToStringUTF8((nint)setting.Value);
                    break;
                case "rbd_persistent_cache_mode":
                    persistent = Marshal.PtrToStringUTF8((nint)setting.Value);
                    break;
                default:
                    break;
            }
        }

        return persistent != "disabled" ? RbdCacheMode.Other
            : caches == "false" ? RbdCacheMode.Off
            : caches == "true" && policy == "writearound" ? RbdCacheMode.WriteAround
            : RbdCacheMode.Other;
    }
}

/// <summary>When writes complete.</summary>
internal enum RbdCacheMode
{
    /// <summary>At once or later, and durable after a flush.</summary>
    Other,

    /// <summary>When they are durable.</summary>
    Off,

    /// <summary>At once, or with a flag when they are durable.</summary>
    WriteAround,
}
