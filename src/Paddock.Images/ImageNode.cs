using Paddock.Block;
using Paddock.Faults;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Images;

/// <summary>One opened image with what lies under it: a node of the graph that a tool works on.</summary>
internal sealed class ImageNode : IAsyncDisposable
{
    /// <summary>The format's name: <c>qcow2</c>, <c>raw</c>.</summary>
    public required string Driver { get; init; }

    /// <summary>The name for people and messages; a <c>json:</c> name where a plain one would not open the same node.</summary>
    public required string Filename { get; init; }

    /// <summary>The disk, with bounds and alignment checked.</summary>
    public required IBlockDevice Device { get; init; }

    /// <summary>The bytes under the image.</summary>
    public required IStorage Storage { get; init; }

    /// <summary>The file that holds the data in place of <see cref="Storage"/>; null: there is none.</summary>
    public IStorage? DataFile => Qcow2?.DataFile;

    /// <summary>The name of the protocol under the image: <c>file</c>, <c>null-co</c>.</summary>
    public string Protocol { get; init; } = "file";

    /// <summary>The qcow2 image; null for another format.</summary>
    public IQcow2Device? Qcow2 { get; init; }

    /// <summary>What supplies unallocated clusters; null when this image is the last.</summary>
    public ImageNode? Backing { get; init; }

    /// <summary>The rules and breakpoints under the image (driver blkdebug); null: there are none.</summary>
    public FaultStorage? Faults { get; internal set; }

    /// <summary>Bytes of a disk layer's cluster; 0 where it has none.</summary>
    public int ClusterSize => Qcow2?.Info.ClusterSize ?? 0;

    /// <summary>
    /// Whether the format was only guessed to be raw and the disk is writable: changes that would make the guess another are refused.
    /// </summary>
    public bool IsGuess { get; init; }

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

    /// <summary>The bytes under the image, where they are open already; owned from here on. The name is for messages then.</summary>
    public IStorage? Storage { get; init; }

    /// <summary>Objects that options may name, as <c>--object</c> has them.</summary>
    public IReadOnlyList<string> Objects { get; init; } = [];

    /// <summary>
    /// Puts something over the bytes of the image's own file, such as a counter; null: nothing. Backing images go without.
    /// </summary>
    public Func<IStorage, IStorage>? Over { get; init; }

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
    /// Decides whether the file that the name leads to may be opened. Null: the user typed the name; else it stands in an image.
    /// </summary>
    public Action<FileFacts>? Admit { get; init; }

    /// <summary>
    /// Whether <see cref="Options"/> stand in an image (in a <c>json:</c> name), so that they are trusted no more than names that stand
    /// there.
    /// </summary>
    public bool AreOptionsStored { get; init; }
}
