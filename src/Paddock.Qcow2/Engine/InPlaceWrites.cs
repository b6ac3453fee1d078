using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Durable changes of metadata in place, such as the header. A write that fails may have taken effect all the same, and memory keeps
/// the old values: so the old bytes are written again, at once or before the next flush. Under the image's metadata mutex.
/// </summary>
/// <param name="storage">Where the metadata lie.</param>
internal sealed class InPlaceWrites(IStorage storage) : IFlushStage
{
    private readonly List<(HostOffset Offset, byte[] Bytes)> _uncertain = [];

    /// <inheritdoc/>
    public bool IsDue => _uncertain.Count > 0;

    /// <inheritdoc/>
    public void Begin()
    {
    }

    /// <summary>Writes and flushes. When this fails, the old bytes count.</summary>
    /// <param name="offset">Where.</param>
    /// <param name="next">The new bytes.</param>
    /// <param name="eventName">Name of the fault point right before the write; null: none.</param>
    public async ValueTask WriteAsync(HostOffset offset, ReadOnlyMemory<byte> next, string? eventName = null)
    {
        await WriteAsync();
        var before = new byte[next.Length];
        await storage.ReadAsync(offset.Value, before);
        if (eventName is not null)
        {
            await storage.OnEventAsync(eventName);
        }

        try
        {
            await storage.WriteAsync(offset.Value, next);
            await storage.FlushAsync();
        }
        catch (BlockException)
        {
            _uncertain.Add((offset, before));
            await TryRestoreAsync();
            throw;
        }
    }

    /// <summary>Writes the old bytes again where a write failed. Nothing that depends on them may become durable before.</summary>
    public async ValueTask WriteAsync()
    {
        while (_uncertain.Count > 0)
        {
            await storage.WriteAsync(_uncertain[^1].Offset.Value, _uncertain[^1].Bytes);
            _uncertain.RemoveAt(_uncertain.Count - 1);
        }
    }

    private async ValueTask TryRestoreAsync()
    {
        try
        {
            await WriteAsync();
        }
        catch (BlockException)
        {
            // the next flush tries again, and fails as long as this does
        }
    }
}
