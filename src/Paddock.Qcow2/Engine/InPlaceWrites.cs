using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Durable changes of metadata in place, such as the header. A write that fails may have taken effect all the same, and memory goes on with
/// the old values: so the old bytes are written again, at once or before the next flush. Under the image's metadata mutex.
/// </summary>
/// <param name="storage">Where the metadata lie.</param>
internal sealed class InPlaceWrites(IStorage storage)
{
    private readonly List<(long Offset, byte[] Bytes)> _uncertain = [];

    /// <summary>Writes and flushes. When this fails, the old bytes count.</summary>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> next)
    {
        await SettleAsync();
        var before = new byte[next.Length];
        await storage.ReadAsync(offset, before);
        try
        {
            await storage.WriteAsync(offset, next);
            await storage.FlushAsync();
        }
        catch (BlockException)
        {
            _uncertain.Add((offset, before));
            await TrySettleAsync();
            throw;
        }
    }

    /// <summary>Writes again what failed writes may have changed. Nothing that depends on it may become durable before.</summary>
    public async ValueTask SettleAsync()
    {
        while (_uncertain.Count > 0)
        {
            await storage.WriteAsync(_uncertain[^1].Offset, _uncertain[^1].Bytes);
            _uncertain.RemoveAt(_uncertain.Count - 1);
        }
    }

    private async ValueTask TrySettleAsync()
    {
        try
        {
            await SettleAsync();
        }
        catch (BlockException)
        {
            // the next flush tries again, and fails as long as this does
        }
    }
}
