using Paddock.Block;

namespace Paddock.Images;

/// <summary>How a disk is opened; the defaults are those of QEMU's tools, but that no backing file is opened.</summary>
public sealed record DiskOptions
{
    /// <summary>Whether the disk takes no changes (default: it does). Its file is then locked so that others may read it too.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>The image format, <c>qcow2</c> or <c>raw</c>; null recognizes it by its contents.</summary>
    /// <remarks>
    /// A raw disk should be opened as <c>raw</c>: its contents may look like an image. One that was only recognized as raw rejects writes
    /// that would make its first block look like another format.
    /// </remarks>
    public string? Format { get; init; }

    /// <summary>
    /// Which backing files and external data files images may name (default: none). A name in an image of unknown origin may be that of
    /// any file.
    /// </summary>
    public BackingPolicy Backing { get; init; } = BackingPolicy.None;

    /// <summary>
    /// Passphrase of an encrypted image, and of encrypted images that it names, as bytes (UTF-8); null (default): none, and an encrypted
    /// image is rejected.
    /// </summary>
    public ReadOnlyMemory<byte>? Passphrase { get; init; }

    /// <summary>Whether the file is read even while another process has it open for writing. Requires <see cref="ReadOnly"/>.</summary>
    public bool ForceShare { get; init; }

    /// <summary>Whether the file is read and written past the page cache (O_DIRECT), where the file system can.</summary>
    public bool DirectIo { get; init; }
}
