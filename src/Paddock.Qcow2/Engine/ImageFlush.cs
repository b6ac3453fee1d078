using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// A client's flush of an image: nothing to do before the first change, refused after a corruption, else everything in order.
/// </summary>
internal sealed class ImageFlush(IStorage storage, DataLayer data, EngineLocks locks, WriteSession session, FlushOrder order)
{
    /// <summary>Makes everything durable that was accepted before the call.</summary>
    public async ValueTask RunAsync()
    {
        if (!session.IsOpen)
        {
            storage.ThrowIfFlushFailed();
            data.ThrowIfFlushFailed();
            return;
        }

        session.EnsureWritable();
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
