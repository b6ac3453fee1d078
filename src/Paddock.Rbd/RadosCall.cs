using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>An asynchronous call of librados as a task. Buffers of the call must stay where they are until the task completes.</summary>
internal static unsafe class RadosCall
{
    /// <summary>Starts a call.</summary>
    /// <param name="start">Passes the completion on to librados; returns a negative error number if nothing was started.</param>
    /// <returns>The result: 0 or more, or a negative error number.</returns>
    public static Task<int> RunAsync(Func<nint, int> start)
    {
        var call = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        var self = GCHandle.Alloc(call);
        int result = LibRados.CreateCompletion(GCHandle.ToIntPtr(self), &OnCompleted, out nint completion);
        if (result >= 0)
        {
            result = start(completion);
            if (result < 0)
            {
                LibRados.Release(completion);
            }
        }

        if (result < 0)
        {
            self.Free();
            call.SetResult(result);
        }

        return call.Task;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnCompleted(nint completion, nint argument)
    {
        var self = GCHandle.FromIntPtr(argument);
        var call = (TaskCompletionSource<int>)self.Target!;
        self.Free();
        int result = LibRados.ResultOf(completion);
        LibRados.Release(completion);
        call.SetResult(result);
    }
}
