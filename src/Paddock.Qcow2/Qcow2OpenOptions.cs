using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2;

/// <summary>How a qcow2 image is opened.</summary>
public sealed record Qcow2OpenOptions
{
    /// <summary>No changing request is taken, and nothing is written to the storage.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Opens what the header names (backing file). The default opens nothing: paths in an image are not to be trusted.</summary>
    public IImageGate Gate { get; init; } = DenyGate.Instance;

    /// <summary>Opens the external data file that the header names. The default opens nothing.</summary>
    public IDataFileGate DataFileGate { get; init; } = DenyGate.Instance;

    /// <summary>
    /// The external data file in place of the one that the header names; null: that one. The image owns it once it is open.
    /// </summary>
    public IStorage? DataFile { get; init; }

    /// <summary>
    /// The passphrase of an encrypted image, as bytes (UTF-8); null: none. Only its information can be read without
    /// (<see cref="ForInfo"/>).
    /// </summary>
    public ReadOnlyMemory<byte>? Passphrase { get; init; }

    /// <summary>PBKDF2 iterations that opening an encrypted image may take.</summary>
    internal long MaxKeyWork { get; init; } = LuksVolume.MaxWork;

    /// <summary>QEMU's name of the encryption that the image must have, <c>luks</c> or <c>aes</c>; null: any.</summary>
    internal string? ExpectedEncryption { get; init; }

    /// <summary>What is left of the memory for tables of all images of a chain; null: each image's own limits alone.</summary>
    internal TableBudget? Tables { get; init; }

    /// <summary>Bytes of memory for cached L2 tables; the default covers 256 GiB at 64 KiB clusters.</summary>
    public long L2CacheBytes { get; init; } = 32 << 20;

    /// <summary>Bytes of memory for cached refcount blocks.</summary>
    public long RefcountCacheBytes { get; init; } = 4 << 20;

    /// <summary>Overrides the image's own lazy_refcounts; null leaves it.</summary>
    public bool? LazyRefcounts { get; init; }

    /// <summary>Which metadata each metadata write is checked against.</summary>
    public OverlapChecks OverlapChecks { get; init; } = OverlapChecks.Cached;

    /// <summary>Whether discarded clusters become holes in the storage (discard=unmap).</summary>
    public bool PassDiscards { get; init; } = true;

    /// <summary>
    /// How long freed clusters keep their space in the storage, so that a client that writes again at once finds it: at least this long,
    /// mostly at most twice. It goes back by itself, and at the end when the image is closed. Zero: with the next flushes.
    /// </summary>
    public TimeSpan KeepFreedSpace { get; init; }

    /// <summary>Tells the time for <see cref="KeepFreedSpace"/>.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>
    /// Opens an image whose corrupt bit or dirty bit is set for repair: no automatic repair, writing allowed to the checker.
    /// </summary>
    internal bool ForCheck { get; init; }

    /// <summary>
    /// Opens an image for its <see cref="Qcow2ImageInfo"/> alone: known features that Paddock does not support are reported there and not
    /// refused. The disk must not be read then.
    /// </summary>
    public bool ForInfo { get; init; }

    /// <summary>The snapshot to open for reading in place of the present disk; null: the present disk.</summary>
    internal SnapshotChoice? Snapshot { get; init; }

    /// <summary>
    /// Marks the image's bitmaps in use when it is opened for writing, as QEMU does, and not before its first change.
    /// </summary>
    internal bool MarkBitmaps { get; init; }

    /// <summary>Called once, when the image is found corrupt; one that is open for writing is closed for writing then.</summary>
    public Action<string>? OnCorruption { get; init; }

    /// <summary>Called with each line of the repair of an image that was not closed, when it is opened for writing.</summary>
    public Action<string>? OnRepair { get; init; }

    /// <summary>Opens no backing file: what the image itself does not hold must not be read.</summary>
    public bool NoBacking { get; init; }
}

/// <summary>Structures that a metadata write must not touch (QEMU's overlap-check groups).</summary>
[Flags]
public enum OverlapChecks
{
    /// <summary>No check.</summary>
    None = 0,

    /// <summary>The header.</summary>
    MainHeader = 1,

    /// <summary>The L1 table of the disk.</summary>
    ActiveL1 = 2,

    /// <summary>L2 tables of the disk.</summary>
    ActiveL2 = 4,

    /// <summary>The refcount table.</summary>
    RefcountTable = 8,

    /// <summary>Refcount blocks.</summary>
    RefcountBlock = 16,

    /// <summary>The snapshot table.</summary>
    SnapshotTable = 32,

    /// <summary>L1 tables of snapshots.</summary>
    InactiveL1 = 64,

    /// <summary>L2 tables of snapshots.</summary>
    InactiveL2 = 128,

    /// <summary>The bitmap directory.</summary>
    BitmapDirectory = 256,

    /// <summary>The zone table.</summary>
    ZoneTable = 512,

    /// <summary>What costs nothing: constant-time checks.</summary>
    Constant = MainHeader | ActiveL1 | RefcountTable | SnapshotTable | BitmapDirectory | ZoneTable,

    /// <summary>Also what is in memory anyway: the default.</summary>
    Cached = Constant | ActiveL2 | RefcountBlock | InactiveL1,

    /// <summary>Everything.</summary>
    All = Cached | InactiveL2,
}

/// <summary>Opens files that stand in an image. The engine never opens one by itself.</summary>
public interface IImageGate
{
    /// <summary>Opens the backing image of an overlay, for reading.</summary>
    /// <param name="name">The name as stored in the header.</param>
    /// <param name="format">The format as stored in the header extension; null when absent.</param>
    /// <param name="overlay">The storage of the image that names it; relative names are relative to it.</param>
    /// <param name="cancellationToken">Stops the opening.</param>
    /// <returns>The device; null to open the overlay without a backing image (unallocated clusters read as zeroes).</returns>
    ValueTask<IBlockDevice?> OpenBackingAsync(string name, string? format, IStorage overlay, CancellationToken cancellationToken);
}

/// <summary>Opens the external data file that stands in an image. The engine never opens one by itself.</summary>
public interface IDataFileGate
{
    /// <summary>Opens the file that holds an image's guest data.</summary>
    /// <param name="name">The name as stored in the header extension.</param>
    /// <param name="image">The storage of the image that names it.</param>
    /// <param name="isReadOnly">Whether it is opened for reading only.</param>
    /// <param name="cancellationToken">Stops the opening.</param>
    /// <returns>The file's bytes; the image closes it.</returns>
    /// <exception cref="BlockException">It does not exist, or must not be opened.</exception>
    ValueTask<IStorage> OpenDataFileAsync(string name, IStorage image, bool isReadOnly, CancellationToken cancellationToken);
}

/// <summary>The gate that opens nothing.</summary>
public sealed class DenyGate : IImageGate, IDataFileGate
{
    private DenyGate()
    {
    }

    /// <summary>The one instance.</summary>
    public static DenyGate Instance { get; } = new();

    /// <inheritdoc/>
    public ValueTask<IBlockDevice?> OpenBackingAsync(string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        => throw new BlockException(
            BlockError.NotPermitted,
            $"the image names a backing file, '{EscapedText.Escape(name)}', and was opened without leave to open it");

    /// <inheritdoc/>
    public ValueTask<IStorage> OpenDataFileAsync(string name, IStorage image, bool isReadOnly, CancellationToken cancellationToken)
        => throw new BlockException(
            BlockError.NotPermitted,
            $"the image names an external data file, '{EscapedText.Escape(name)}', and was opened without leave to open it");
}
