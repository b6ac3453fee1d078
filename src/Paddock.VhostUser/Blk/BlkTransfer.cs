using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.VhostUser.Blk;

/// <summary>Moves the data of reads, writes and appends between guest memory and the disk.</summary>
internal sealed class BlkTransfer(BlkJob job)
{
    /// <summary>Reads from the disk: into guest memory if the data is contiguous there, otherwise into the buffer.</summary>
    public ValueTask Read()
    {
        if (job.Way == DataWay.Parts)
        {
            return RunPartsAsync(0);
        }

        return job.Device.Device.ReadAsync(job.Offset, job.TryGetRun(out var run) ? run : job.Slab!.Bytes.AsMemory(0, (int)job.Length));
    }

    /// <summary>Writes to the disk.</summary>
    public ValueTask Write()
        => job.Way == DataWay.Parts ? RunPartsAsync(0) : job.Device.Device.WriteAsync(job.Offset, Collect(), job.Flags);

    /// <summary>Appends to a zone.</summary>
    /// <param name="observer">Notified of the offset before the data is written.</param>
    /// <returns>Offset of the data.</returns>
    public ValueTask<long> Append(IAppendObserver observer) => job.Device.Zones!.AppendAsync(job.Offset, Collect(), job.Flags, observer);

    /// <summary>Copies the data of a successful read to guest memory, unless it was read there.</summary>
    public void CompleteRead()
    {
        if (job.Type != RequestType.In || job.Status != RequestStatus.Ok)
        {
            return;
        }

        if (job.Way == DataWay.Buffer)
        {
            Pieces.Scatter(job.Chain.Writable, 0, job.Slab!.Bytes.AsSpan(0, (int)job.Length));
        }

        job.DataWritten = job.Length;
    }

    /// <summary>Reports the sector of a successful append to the driver.</summary>
    /// <param name="offset">Offset of the data.</param>
    public void CompleteAppend(long offset)
    {
        Span<byte> sector = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteInt64LittleEndian(sector, offset >> BlkLimits.SectorShift);
        Pieces.Scatter(job.Chain.Writable, 0, sector);
        job.DataWritten = sector.Length;
    }

    /// <summary>Writes the device's serial number to guest memory (VIRTIO_BLK_T_GET_ID).</summary>
    public ValueTask WriteId()
    {
        int count = (int)Math.Min(job.Length, VirtioBlkDevice.IdSize);
        Pieces.Scatter(job.Chain.Writable, 0, job.Device.Id.Span[..count]);
        job.DataWritten = count;
        return ValueTask.CompletedTask;
    }

    /// <summary>Copies data through the buffer in consecutive parts.</summary>
    /// <param name="from">Number of bytes that have been copied.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask RunPartsAsync(long from)
    {
        int part = Math.Min(BlkLimits.Part, job.Device.Device.Limits.MaxTransfer);
        for (long done = from; done < job.Length;)
        {
            var run = job.Slab!.Bytes.AsMemory(0, (int)Math.Min(part, job.Length - done));
            if (job.Type == RequestType.In)
            {
                await job.Device.Device.ReadAsync(job.Offset + done, run);
                Pieces.Scatter(job.Chain.Writable, done, run.Span);
            }
            else
            {
                Pieces.Gather(job.Chain.Readable, RequestHeader.Size + done, run.Span);
                await job.Device.Device.WriteAsync(job.Offset + done, run, job.Flags);
            }

            done += run.Length;
        }
    }

    // the data as contiguous memory: guest memory if it is contiguous there, otherwise a copy in the buffer
    private ReadOnlyMemory<byte> Collect()
    {
        if (job.TryGetRun(out var run))
        {
            return run;
        }

        var all = job.Slab!.Bytes.AsMemory(0, (int)job.Length);
        Pieces.Gather(job.Chain.Readable, RequestHeader.Size, all.Span);
        return all;
    }
}
