using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Scatter gather lists (NVMe base 2.0, 4.1.2): SGL1 describes the data itself, or a segment of descriptors, whose last one may point at
/// the next segment. A list may be longer than the data.
/// </summary>
/// <param name="memory">Memory of the host.</param>
internal sealed class SglChain(IDeviceMemory memory)
{
    /// <summary>Most segments of a list, and most descriptors in all of them.</summary>
    public const int MaxSegments = 256, MaxDescriptors = 1024;

    // descriptors that are read at once
    private const int Batch = 64;

    private readonly byte[] _batch = new byte[Batch * SglDescriptor.Size];

    /// <summary>Finds the places of a command's data.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="length">Bytes of data, more than 0.</param>
    /// <param name="map">Receives the places.</param>
    public NvmeStatus Read(in SubmissionEntry entry, int length, TransferMap map)
    {
        map.Clear();
        bool toHost = entry.Direction == 2;
        var first = new SglDescriptor(entry.DataAddress, entry.DataLength, entry.DataKind);
        if (!first.IsSegment)
        {
            return Take(first, length, toHost, map) is { } wrong ? wrong
                : map.Length < length ? NvmeStatus.SglLengthInvalid : NvmeStatus.Success;
        }

        var segment = first;
        for (int segments = 0, descriptors = 0; segments < MaxSegments; segments++)
        {
            if (segment.Length == 0 || segment.Length % SglDescriptor.Size != 0)
            {
                return NvmeStatus.SglSegmentInvalid;
            }

            long count = segment.Length / SglDescriptor.Size;
            descriptors = (int)Math.Min(descriptors + count, int.MaxValue);
            if (descriptors > MaxDescriptors)
            {
                return NvmeStatus.SglCountInvalid;
            }

            if (ReadSegment(segment, (int)count, length, toHost, map, out var next) is { } wrong)
            {
                return wrong;
            }

            if (map.Length >= length)
            {
                return NvmeStatus.Success;
            }

            if (next is not { } following)
            {
                return NvmeStatus.SglLengthInvalid;
            }

            segment = following;
        }

        return NvmeStatus.SglCountInvalid;
    }

    // null: no error
    private NvmeStatus? ReadSegment(
        SglDescriptor segment, int count, int length, bool toHost, TransferMap map, out SglDescriptor? next)
    {
        next = null;
        for (int done = 0; done < count && map.Length < length; done += Batch)
        {
            var batch = _batch.AsSpan(0, Math.Min(Batch, count - done) * SglDescriptor.Size);
            if (!memory.TryRead(segment.Address + (ulong)(done * SglDescriptor.Size), batch))
            {
                return NvmeStatus.DataTransferError;
            }

            for (int at = 0; at < batch.Length && map.Length < length; at += SglDescriptor.Size)
            {
                var descriptor = SglDescriptor.Read(batch[at..]);
                if (!descriptor.IsSegment)
                {
                    if (Take(descriptor, length, toHost, map) is { } wrong)
                    {
                        return wrong;
                    }
                }
                else if (done + (at / SglDescriptor.Size) != count - 1)
                {
                    return NvmeStatus.SglCountInvalid;
                }
                else if (segment.Kind == SglDescriptor.LastSegment)
                {
                    return NvmeStatus.SglSegmentInvalid;
                }
                else
                {
                    next = descriptor;
                }
            }
        }

        return null;
    }

    // null: no error
    private static NvmeStatus? Take(SglDescriptor descriptor, int length, bool toHost, TransferMap map)
    {
        if (descriptor.Kind is not (SglDescriptor.DataBlock or SglDescriptor.BitBucket))
        {
            return NvmeStatus.SglTypeInvalid;
        }

        // a bit bucket takes part in transfers to the host only
        bool isBucket = descriptor.Kind == SglDescriptor.BitBucket;
        int part = (int)Math.Min(descriptor.Length, (uint)(length - map.Length));
        if (part > 0 && (toHost || !isBucket))
        {
            map.Add(descriptor.Address, part, isBucket);
        }

        return null;
    }
}
