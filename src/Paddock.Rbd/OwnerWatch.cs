using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// A watch on the object of an image's owner, which answers every notification at once, on a thread of librados: who does not answer is not
/// running, or has no connection to the cluster.
/// </summary>
internal sealed class OwnerWatch : IAsyncDisposable
{
    private readonly OwnerObject _object;
    private readonly Action _failed;
    private readonly Action<long>? _notified;
    private GCHandle _self;
    private ulong _handle;

    private OwnerWatch(OwnerObject owner, Action failed, Action<long>? notified)
    {
        (_object, _failed, _notified) = (owner, failed, notified);
        _self = GCHandle.Alloc(this);
    }

    /// <summary>Begins to watch.</summary>
    /// <param name="owner">The object; it must exist.</param>
    /// <param name="failed">Called, on the thread pool, when the cluster has ended the watch.</param>
    /// <param name="notified">Called, on a thread of librados, with the client that has sent a notification; must not block.</param>
    /// <returns>The watch, or a negative error number.</returns>
    public static async Task<(OwnerWatch? Watch, int Result)> StartAsync(OwnerObject owner, Action failed, Action<long>? notified)
    {
        var watch = new OwnerWatch(owner, failed, notified);
        ulong[] handle = GC.AllocateArray<ulong>(1, pinned: true);
        int result = await RadosCall.RunAsync(completion => watch.Start(completion, handle));
        watch._handle = handle[0];
        if (result < 0)
        {
            watch._self.Free();
            return (null, result);
        }

        return (watch, result);
    }

    /// <summary>Ends the watch; no callback runs after that.</summary>
    public async ValueTask DisposeAsync()
    {
        await RadosCall.RunAsync(completion => LibRados.Unwatch(_object.Context, _handle, completion));
        await Task.Run(() => LibRados.FlushWatches(_object.Cluster.Handle));
        _self.Free();
    }

    private unsafe int Start(nint completion, ulong[] handle)
        => LibRados.Watch(
            _object.Context, _object.Name, completion, Marshal.UnsafeAddrOfPinnedArrayElement(handle, 0), &OnNotified, &OnFailed, 0,
            GCHandle.ToIntPtr(_self));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnNotified(nint argument, ulong notification, ulong handle, ulong notifier, nint data, nuint length)
    {
        var watch = (OwnerWatch)GCHandle.FromIntPtr(argument).Target!;
        watch._notified?.Invoke((long)notifier);
        var watched = watch._object;
        _ = LibRados.Acknowledge(watched.Context, watched.Name, notification, handle, 0, 0);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnFailed(nint argument, ulong handle, int error)
        => ThreadPool.UnsafeQueueUserWorkItem(
            static watch => watch._failed(), (OwnerWatch)GCHandle.FromIntPtr(argument).Target!, preferLocal: false);
}
