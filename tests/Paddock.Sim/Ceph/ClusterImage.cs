using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>
/// The image as librbd serves it to one client, with its write-back rules: a write is complete at once and reaches the cluster later, in
/// any order until a flush, object by object. Overlapping requests keep their order, so a client reads what it has written. What a flush
/// waits for is durable; a write that failed meanwhile makes it fail.
/// </summary>
/// <param name="client">The client, which has the lock if it writes.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class ClusterImage(ClusterClient client, Random random)
{
    private const int Sector = SectorPattern.Sector;

    private readonly List<ImagePart> _parts = [];
    private readonly long _maxDirty = random.Next(4) == 0 ? 16 << 10 : 24 << 20;
    private readonly long _lingering = random.Next(2) == 0 ? 0 : 50 * VirtualTime.Millisecond;
    private BlockException? _failure;

    private SimCluster Cluster => client.Cluster;

    private SimProcess Process => client.Process;

    /// <summary>Fills a buffer.</summary>
    public async Task ReadAsync(long offset, Memory<byte> buffer)
    {
        var parts = Split(PartKind.Read, offset, buffer.Length, buffer);
        parts.ForEach(part => Send(part));
        await Task.WhenAll(parts.Select(static part => part.Done));
    }

    /// <summary>Takes a change, which is complete at once unless too much waits for the cluster already.</summary>
    public async ValueTask ChangeAsync(PartKind kind, long offset, long length, ReadOnlyMemory<byte> data)
    {
        if (kind == PartKind.Discard)
        {
            // parts of objects that are too small to free stay as they are
            long grain = Math.Min(Cluster.ObjectSize, 16 << 10), end = (offset + length) / grain * grain;
            offset = (offset + grain - 1) / grain * grain;
            length = Math.Max(0, end - offset);
        }

        foreach (var part in Split(kind, offset, length, data.ToArray()))
        {
            if (_lingering > 0 && random.Next(2) == 0)
            {
                _parts.Add(part);
                Process.Time.After(random.NextInt64(_lingering), Process, () => TrySend(part));
            }
            else
            {
                Send(part);
            }
        }

        while (_parts.Where(static part => part.Kind == PartKind.Write).Sum(static part => part.Length) > _maxDirty)
        {
            SendAll();
            if (_parts.Count > 0)
            {
                await Task.WhenAny(_parts.Select(static part => part.Done));
            }
        }
    }

    /// <summary>Whether all changes that have completed are durable.</summary>
    public bool IsSettled => _failure is null && !_parts.Exists(static part => part.Kind != PartKind.Read);

    /// <summary>Writes, in one step for each object, and completes when that is durable.</summary>
    public async Task WriteThroughAsync(long offset, ReadOnlyMemory<byte> data)
    {
        var parts = Split(PartKind.Write, offset, data.Length, data.ToArray(), isWhole: true);
        parts.ForEach(part => Send(part));
        await Task.WhenAll(parts.Select(static part => part.Done));
    }

    /// <summary>Waits until all earlier changes are durable.</summary>
    /// <exception cref="BlockException">One of them failed.</exception>
    public async Task FlushAsync()
    {
        SendAll();
        var waits = _parts.Where(static part => part.Kind != PartKind.Read).Select(static part => part.Done).ToArray();
        await Task.WhenAll(waits).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        if (_failure is not null)
        {
            throw _failure;
        }
    }

    private List<ImagePart> Split(PartKind kind, long offset, long length, Memory<byte> data, bool isWhole = false)
    {
        var parts = new List<ImagePart>();
        for (long at = 0; at < length;)
        {
            long position = offset + at;
            long next = Math.Min(length - at, Cluster.ObjectSize - (position % Cluster.ObjectSize));
            if (!isWhole && next > Sector && random.Next(8) == 0)
            {
                // the cache may send any whole sectors by themselves
                next = Math.Min(next, ((position / Sector) + 1 + random.NextInt64(next / Sector)) * Sector - position);
            }

            parts.Add(new ImagePart(kind, position, (int)next, data.IsEmpty ? data : data.Slice((int)at, (int)next)));
            at += next;
        }

        return parts;
    }

    private void Send(ImagePart part)
    {
        _parts.Add(part);
        TrySend(part);
    }

    private void SendAll()
    {
        foreach (var part in _parts.ToArray())
        {
            TrySend(part);
        }
    }

    private void TrySend(ImagePart part)
    {
        if (part.IsSent || part.Done.IsCompleted)
        {
            return;
        }

        foreach (var earlier in _parts)
        {
            if (earlier == part)
            {
                break;
            }

            if (part.Follows(earlier))
            {
                TrySend(earlier);
                return;
            }
        }

        part.IsSent = true;
        _ = RunAsync(part);
    }

    private async Task RunAsync(ImagePart part)
    {
        BlockException? failure = null;
        try
        {
            client.Loss.ThrowIfLost();
            await client.CallAsync(Cluster.OsdOf(part.Offset / Cluster.ObjectSize), () => Apply(part));
        }
        catch (BlockException e)
        {
            failure = e;
            _failure ??= part.Kind == PartKind.Read ? null : e;
        }

        _parts.Remove(part);
        part.Complete(failure);
        foreach (var later in _parts.Where(later => !later.IsSent && later.Follows(part)).ToArray())
        {
            TrySend(later);
        }
    }

    // a step of the OSD
    private bool Apply(ImagePart part)
    {
        Cluster.Touch(part.Offset / Cluster.ObjectSize, client.Generation);
        switch (part.Kind)
        {
            case PartKind.Read:
                Cluster.Content.Read(part.Offset, part.Data.Span);
                break;
            case PartKind.Write:
                Cluster.Content.Write(part.Offset, part.Data.Span);
                break;
            case PartKind.Zero:
                Cluster.Content.Zero(part.Offset, part.Length);
                break;
            default:
                Cluster.Content.Discard(part.Offset, part.Length);
                break;
        }

        return true;
    }
}
