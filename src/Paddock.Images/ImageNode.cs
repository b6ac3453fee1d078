using Paddock.Block;
using Paddock.Faults;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Images;

/// <summary>A node below another one.</summary>
/// <param name="Name">Key of the options that describe it: <c>file</c>, <c>backing</c>, <c>children.0</c>.</param>
/// <param name="Node">The node.</param>
internal readonly record struct NodeChild(string Name, ImageNode Node);

/// <summary>One opened image with the nodes below it: a node of the graph that a tool works on.</summary>
internal sealed class ImageNode : IAsyncDisposable
{
    /// <summary>Key of the child that supplies unallocated clusters.</summary>
    public const string BackingKey = "backing";

    private CheckedDevice? _device;

    /// <summary>The driver's name: <c>qcow2</c>, <c>raw</c>.</summary>
    public required string Driver { get; init; }

    /// <summary>The name for people and messages; a <c>json:</c> name where a plain one would not open the same node.</summary>
    public string Filename { get; internal set; } = "";

    /// <summary>The plain name that opens the same node; null if absent.</summary>
    public string? PlainName { get; internal set; }

    /// <summary>The options that open the same node, nested: what a <c>json:</c> name holds.</summary>
    public QDict FullOptions { get; internal set; } = new();

    /// <summary>The name that options gave the node; null if they did not.</summary>
    public string? NodeName { get; internal set; }

    /// <summary>The nodes below, in the order in which they were opened.</summary>
    public IReadOnlyList<NodeChild> Children { get; internal set; } = [];

    /// <summary>Whether the driver supplies bytes by a name, and is no format.</summary>
    public bool IsProtocol { get; internal set; }

    /// <summary>Whether the driver only passes on, or changes, requests.</summary>
    public bool IsFilter { get; internal set; }

    /// <summary>Cache mode of the node; null for the tool's own.</summary>
    public string? Cache { get; internal set; }

    /// <summary>Whether the storage keeps nothing, so that no guess about its contents matters.</summary>
    public bool IsNull { get; init; }

    /// <summary>Whether the backing image is another than the one that the image names.</summary>
    public bool IsBackingReplaced { get; init; }

    /// <summary>The disk, with bounds and alignment checked.</summary>
    public IBlockDevice Device
    {
        get => _device ??= CheckedDevice.Wrap(new RawDevice(Storage));
        internal set => _device = value is null ? null : CheckedDevice.Wrap(value);
    }

    /// <summary>The bytes under the image; for a protocol its own.</summary>
    public required IStorage Storage { get; set; }

    /// <summary>The file that holds the data in place of <see cref="Storage"/>; null if absent.</summary>
    public IStorage? DataFile => Qcow2?.DataFile;

    /// <summary>The name of the driver under the image: <c>file</c>, <c>null-co</c>.</summary>
    public string Protocol { get; init; } = "file";

    /// <summary>The child that holds the image, or the disk that is filtered; null if absent.</summary>
    public ImageNode? Primary => Children is [var first, ..] && first.Name is "file" or "image" or "raw" ? Children[0].Node : null;

    /// <summary>The qcow2 image; null for another format.</summary>
    public IQcow2Device? Qcow2 { get; init; }

    /// <summary>The LUKS disk; null for another format.</summary>
    public LuksDevice? Luks { get; init; }

    /// <summary>Whether this disk, or one below it, is encrypted.</summary>
    public bool IsEncrypted => Qcow2?.Info.Encryption is not null || Luks is not null || Children.Any(static c => c.Node.IsEncrypted);

    /// <summary>What supplies unallocated clusters; null when this image is the last.</summary>
    public ImageNode? Backing { get; init; }

    /// <summary>The rules and breakpoints under the image (driver blkdebug); null: there are none.</summary>
    public FaultStorage? Faults { get; internal set; }

    /// <summary>The node whose format holds the disk: this one, or the one under filters; null if absent.</summary>
    public ImageNode? Format => IsFilter || Driver == "blkdebug" ? Primary?.Format : this;

    /// <summary>The image that stores what is written through this node compressed; null if none can.</summary>
    public IQcow2Device? Compressor => IsFilter ? Primary?.Compressor : Qcow2;

    /// <summary>
    /// Whether the driver, or the one whose answer it passes on, describes the image: one that answers for several disks does not.
    /// </summary>
    public bool IsDescribed => Driver is not ("quorum" or "blkverify") && !IsNull
        && (Qcow2 is not null || Primary is null || Primary.IsDescribed);

    /// <summary>Bytes of the objects that hold the bytes of a protocol (RBD); 0 where there are none.</summary>
    public int ObjectSize { get; init; }

    /// <summary>Bytes of a cluster of this image, or of the filtered one, or of an object of a raw disk; 0 where it has none.</summary>
    public int ClusterSize => Format?.Qcow2?.Info.ClusterSize ?? (Format is { Driver: FormatProbe.Raw, Primary: { } file } ? file.ObjectSize
        : ObjectSize);

    /// <summary>Bytes in which copy on read works: a cluster, or what can be allocated of one; 1 where there are none.</summary>
    public long CopyUnit => Format?.Qcow2?.Info is not { } info ? 1 : info.ExtendedL2 ? info.ClusterSize / 32 : info.ClusterSize;

    /// <summary>Bytes allocated for this image by the files below it, without those of backing images; -1 if unknown.</summary>
    public long AllocatedBytes
    {
        get
        {
            if (Children.Count == 0 || IsProtocol)
            {
                return Children.Count == 0 ? Storage.AllocatedBytes : -1;
            }

            var parts = Children.Where(static c => c.Name != BackingKey).Select(static c => c.Node.AllocatedBytes);
            return parts.Aggregate(0L, static (sum, part) => sum < 0 || part < 0 ? -1 : sum + part);
        }
    }

    /// <summary>
    /// Whether the format was only guessed to be raw and the disk is writable: changes that would make the guess another are refused.
    /// </summary>
    public bool IsGuess { get; init; }

    /// <summary>The storages under this image that are written and can be lost to another machine.</summary>
    public IEnumerable<IOwnedStorage> Owned
        => Children.Count > 0 ? Children.SelectMany(static c => c.Node.Owned)
            : !Storage.IsReadOnly && OwnedStorage.Of(Storage) is { } owned ? [owned] : [];

    /// <summary>The name under which this image or one of its backing images reads a file; null if none of them reads it.</summary>
    public string? NameOfFile(string path)
    {
        for (var layer = this; layer is not null; layer = layer.Backing)
        {
            if (layer.Protocol == "file" && FileIdentity.IsSameFile(layer.Storage.Name, path))
            {
                return layer.Storage.Name;
            }

            if (layer.DataFile is { } data && FileIdentity.IsSameFile(data.Name, path))
            {
                return data.Name;
            }
        }

        return null;
    }

    /// <summary>Whether this node or one below it has a name.</summary>
    public bool Contains(string nodeName) => NodeName == nodeName || Children.Any(c => c.Node.Contains(nodeName));

    /// <summary>The node as bytes for a node above.</summary>
    public IStorage AsStorage()
        => IsProtocol ? Storage : new NodeStorage((CheckedDevice)Device, Storage.Name, () => AllocatedBytes);

    /// <summary>Closes the image; an image closes its backing image itself.</summary>
    public ValueTask DisposeAsync() => Device.DisposeAsync();

    /// <summary>
    /// Does work on the image, then closes it. When the work fails, its failure is reported, not one of closing after it.
    /// </summary>
    public async ValueTask UseAsync(Func<ValueTask> work)
    {
        try
        {
            await work();
        }
        catch
        {
            try
            {
                await DisposeAsync();
            }
            catch (BlockException)
            {
                // a consequence of the first failure, mostly
            }

            throw;
        }

        await DisposeAsync();
    }
}

/// <summary>How a tool opens an image.</summary>
internal sealed record OpenSettings
{
    /// <summary>Take no changes.</summary>
    public bool ReadOnly { get; init; } = true;

    /// <summary>The format; null to probe for it.</summary>
    public string? Format { get; init; }

    /// <summary>Share the image with whoever else has it open (-U).</summary>
    public bool ForceShare { get; init; }

    /// <summary>Do not open backing images.</summary>
    public bool NoBacking { get; init; }

    /// <summary>Open for repair: faults in the image are not held against it.</summary>
    public bool ForCheck { get; init; }

    /// <summary>Open for what the header says alone (<see cref="Qcow2OpenOptions.ForInfo"/>).</summary>
    public bool ForInfo { get; init; }

    /// <summary>Options such as those of <c>--image-opts</c>, flat.</summary>
    public QDict? Options { get; init; }

    /// <summary>Keep changes in a temporary overlay that goes away with the session (-s).</summary>
    public bool Snapshot { get; init; }

    /// <summary>The internal snapshot to open for reading in place of the present disk; null: the present disk.</summary>
    public SnapshotChoice? LoadSnapshot { get; init; }

    /// <summary>The bytes under the image, where they are open already; owned from here on. The name is for messages then.</summary>
    public IStorage? Storage { get; init; }

    /// <summary>Objects that options may name, as <c>--object</c> has them.</summary>
    public IReadOnlyList<string> Objects { get; init; } = [];

    /// <summary>Whether images in RBD, and those below them, share clients of the cluster with others of this process.</summary>
    public bool SharesConnections { get; init; }

    /// <summary>Passphrase of encrypted images for which options name no secret; null: none.</summary>
    public ReadOnlyMemory<byte>? Passphrase { get; init; }

    /// <summary>
    /// Objects whose passphrases any image of the chain may use, as they are sent nowhere; null: <see cref="Objects"/>.
    /// </summary>
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>
    /// Puts something over the bytes of the image's own file, such as a counter; null: nothing. Backing images go without.
    /// </summary>
    public Func<IStorage, IStorage>? Over { get; init; }

    /// <summary>Whether to copy what is read from backing images into this one (-C).</summary>
    public bool CopyOnRead { get; init; }

    /// <summary>Whether discards free space, if the tool says (-d); null: they do.</summary>
    public bool? Unmap { get; init; }

    /// <summary>What becomes of writes that are all zeroes.</summary>
    public ZeroDetection DetectZeroes { get; init; }

    /// <summary>Whether a file that cannot be written may be opened for reading.</summary>
    public bool AutoReadOnly { get; init; }

    /// <summary>How long a qcow2 image's freed clusters keep their space (<see cref="Qcow2OpenOptions.KeepFreedSpace"/>).</summary>
    public TimeSpan KeepFreedSpace { get; init; }

    /// <summary>Mode of asynchronous I/O by name: checked against the cache mode, and the same to Paddock; null: none is named.</summary>
    public string? Aio { get; init; }

    /// <summary>Cache mode as <c>-t</c> names it; null for the tool's own.</summary>
    public string? Cache { get; init; }

    /// <summary>Stops the opening.</summary>
    public CancellationToken Stop { get; init; }

    /// <summary>The image of the chain that is to be opened for writing beside the first; null: none is.</summary>
    public Chains.CommitBase? Base { get; init; }

    /// <summary>What <see cref="Storage"/> is, where it is a file.</summary>
    public FileFacts? StorageFacts { get; init; }

    /// <summary>The chain that the image belongs to; null: it begins one.</summary>
    public ImageChain? Chain { get; init; }

    /// <summary>
    /// Decides whether the file that the name leads to may be opened. Null: the user typed the name; else it is stored in an image.
    /// </summary>
    public Action<FileFacts>? Admit { get; init; }

    /// <summary>
    /// Whether <see cref="Options"/> are stored in an image (in a <c>json:</c> name), so that they are trusted no more than names stored
    /// there.
    /// </summary>
    public bool AreOptionsStored { get; init; }

    /// <summary>The settings that a child of a node inherits.</summary>
    public OpenSettings ForChild() => this with
    {
        Format = null,
        Options = null,
        NoBacking = false,
        Snapshot = false,
        Storage = null,
        StorageFacts = null,
        Over = null,
        CopyOnRead = false,
        Unmap = null,
        DetectZeroes = ZeroDetection.Off,
        Aio = null,
    };
}
