namespace Paddock.Sim.Ceph;

/// <summary>Kinds of requests for an object.</summary>
internal enum PartKind
{
    Read,
    Write,
    Zero,
    Discard,
}

/// <summary>A request for a range of one object, which the OSD carries out in one step.</summary>
/// <param name="kind">Kind.</param>
/// <param name="offset">First byte, of the image.</param>
/// <param name="length">Bytes.</param>
/// <param name="data">Bytes to write, or the buffer of a read.</param>
internal sealed class ImagePart(PartKind kind, long offset, int length, Memory<byte> data)
{
    private readonly TaskCompletionSource _done = new();

    public PartKind Kind => kind;

    public long Offset => offset;

    public int Length => length;

    public Memory<byte> Data => data;

    /// <summary>Whether it was sent to its OSD.</summary>
    public bool IsSent { get; set; }

    /// <summary>Completes when the OSD has acknowledged it; fails if it was rejected.</summary>
    public Task Done => _done.Task;

    /// <summary>Whether it must wait for an earlier part.</summary>
    public bool Follows(ImagePart earlier)
        => offset < earlier.Offset + earlier.Length && earlier.Offset < offset + length
            && (kind != PartKind.Read || earlier.Kind != PartKind.Read);

    /// <summary>Records the answer of the OSD.</summary>
    public void Complete(Exception? failure)
    {
        if (failure is null)
        {
            _done.SetResult();
        }
        else
        {
            _done.SetException(failure);
            _ = _done.Task.Exception;
        }
    }
}
