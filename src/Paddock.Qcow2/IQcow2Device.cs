using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>What an open qcow2 image offers beside the block device.</summary>
public interface IQcow2Device : IBlockDevice
{
    /// <summary>What the header says.</summary>
    Qcow2ImageInfo Info { get; }

    /// <summary>Warnings from opening it, for people (zoned-qcow2.md 1.2, 1.3); empty mostly.</summary>
    IReadOnlyList<string> Warnings { get; }

    /// <summary>The storage under the image.</summary>
    IStorage Storage { get; }

    /// <summary>The image's persistent bitmaps.</summary>
    IQcow2Bitmaps Bitmaps { get; }

    /// <summary>The external data file; null: the data are in <see cref="Storage"/>, or the image was opened for its properties.</summary>
    IStorage? DataFile { get; }

    /// <summary>The internal snapshots.</summary>
    IQcow2Snapshots Snapshots { get; }

    /// <summary>Reads the state of a virtual machine, which the image holds beside the disk; zeroes if it holds no such state.</summary>
    /// <param name="offset">Byte of the state, from 0.</param>
    /// <param name="buffer">Takes the bytes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    ValueTask ReadVmStateAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default);

    /// <summary>Writes the state of a virtual machine. Snapshots taken later keep it with the disk.</summary>
    /// <param name="offset">Byte of the state, from 0.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="BlockException">No L1 table can map so much (<see cref="BlockError.TooLarge"/>), or an I/O error.</exception>
    ValueTask WriteVmStateAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default);

    /// <summary>Writes clusters compressed; whole clusters only, but for the last. Unallocated clusters only.</summary>
    ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes the image name another backing file, durably, after everything else of it: a crash leaves the old name or the new one. The
    /// open image goes on reading its old backing file; whoever calls this makes sure that the contents agree.
    /// </summary>
    /// <param name="name">Name of the backing file, at most 1023 bytes; null: none.</param>
    /// <param name="format">Its format, at most 15 bytes; null: it is not named, and is probed when the image is opened.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    /// <exception cref="BlockException">The name does not fit the first cluster (<see cref="BlockError.NoSpace"/>) or the limits
    /// (<see cref="BlockError.InvalidArgument"/>), or a write failed.</exception>
    ValueTask SetBackingFileAsync(string? name, string? format, CancellationToken cancellationToken = default);

    /// <summary>
    /// Frees everything that the image itself holds, durably: its backing file shows everywhere. The image may take no changes
    /// (<see cref="BlockError.NoMedium"/>) until it is opened again. Zones keep their write pointers.
    /// </summary>
    /// <param name="cancellationToken">Stops it; the image then holds a part of what it held.</param>
    /// <exception cref="BlockException">A write failed.</exception>
    ValueTask EmptyAsync(CancellationToken cancellationToken = default);

    /// <summary>Rejects changes that the image's header rules out, as <see cref="AmendAsync"/> would.</summary>
    /// <exception cref="BlockException">The image cannot be changed like this.</exception>
    void CheckAmendOptions(Qcow2AmendOptions options);

    /// <summary>
    /// Changes properties of the image, durably. No requests may be in flight. After a change of the version to 2 or of the width of
    /// reference counts the image takes no changes until it is opened again.
    /// </summary>
    /// <param name="options">What is changed.</param>
    /// <param name="progress">Receives units of work done, and units in all; both may grow.</param>
    /// <exception cref="BlockException">The image cannot be changed like this, or a request failed: a part may be changed then.</exception>
    ValueTask AmendAsync(Qcow2AmendOptions options, Action<long, long>? progress = null);

    /// <summary>Turns the zoned header extension and the zone table into another layout; a crash leaves one or the other.</summary>
    /// <param name="layout">The layout that is wanted; nothing happens when the image has it.</param>
    /// <param name="cancellationToken">Stops it before the switch.</param>
    /// <exception cref="BlockException">The image has no zones, or the layout cannot hold what it says.</exception>
    ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default);
}
