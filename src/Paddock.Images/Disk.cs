using Paddock.Block;

namespace Paddock.Images;

/// <summary>
/// An open disk: an image file, or a remote disk. Requests are checked against its bounds, its alignment and
/// <see cref="IBlockDevice.IsReadOnly"/>; its zones are <see cref="IBlockDevice.Zones"/>.
/// </summary>
/// <remarks>Requests may overlap in time and come from any thread. Disposing closes the disk; it writes back and flushes first.</remarks>
public class Disk : DelegatingDevice
{
    private readonly CollectedMessages _messages;

    internal Disk(IBlockDevice device, string name, string format, CollectedMessages messages)
        : base(device)
    {
        Name = name;
        Format = format;
        _messages = messages;
    }

    /// <summary>The image with its storage and backing images; null for a disk that was not opened by name.</summary>
    internal ImageNode? Node { get; init; }

    /// <summary>The name that the disk was opened by.</summary>
    public string Name { get; }

    /// <summary>The image format, <c>qcow2</c> or <c>raw</c>. A remote disk is raw, unless another format was asked for.</summary>
    public string Format { get; }

    /// <summary>What was unusual about the disk when it was opened and since, one sentence each; empty for most disks.</summary>
    public IReadOnlyList<string> Warnings => _messages.Warnings;

    /// <summary>
    /// Opens a disk by the path of an image file or the name of a remote disk: <c>nvme+tcp://HOST:PORT/NQN?ns=1</c>,
    /// <c>nbd://HOST:PORT/EXPORT</c>, <c>nbds://</c> (TLS), <c>nbd+unix:///EXPORT?socket=PATH</c>, or of an image in Ceph RBD,
    /// <c>rbd:POOL/IMAGE[@SNAPSHOT][:conf=FILE...]</c>, whose format is probed.
    /// </summary>
    /// <param name="name">The path or name.</param>
    /// <param name="options">How to open it; null: the defaults.</param>
    /// <param name="cancellationToken">Stops the opening.</param>
    /// <returns>The disk; a <see cref="Qcow2Disk"/> for a qcow2 image.</returns>
    /// <exception cref="BlockException">The disk cannot be opened; <see cref="BlockException.Error"/> says why: not found, busy (locked by
    /// another process), not permitted (its backing file, see <see cref="DiskOptions.Backing"/>), not supported, corrupt and so
    /// on.</exception>
    public static Task<Disk> OpenAsync(string name, DiskOptions? options = null, CancellationToken cancellationToken = default)
        => DiskOpening.OpenAsync(name, options ?? new DiskOptions(), cancellationToken);

    /// <summary>Opens a stream over the whole disk, positioned at its first byte. Disposing the stream leaves the disk open.</summary>
    public Stream OpenStream() => new BlockStream(this, leaveOpen: true);
}
