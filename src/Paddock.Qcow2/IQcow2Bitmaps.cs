using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>
/// The persistent bitmaps of an open image. They record changes from any client of the image, and are stored when it is closed: a
/// program that ends without closing the image leaves those that were enabled inconsistent, and they can only be removed then.
/// </summary>
public interface IQcow2Bitmaps
{
    /// <summary>The bitmaps, in the order of the image's directory.</summary>
    IReadOnlyList<Qcow2BitmapInfo> List { get; }

    /// <summary>Adds a bitmap that is enabled and has no bit set. It is on the storage once the image is closed.</summary>
    /// <param name="name">The name, 1 to 1,023 bytes.</param>
    /// <param name="granularity">
    /// Bytes that a bit stands for: a power of two from 512 to 2 GiB; 0 for the cluster size, but 4 KiB at least and 64 KiB at most.
    /// </param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">The name is taken, or a limit is exceeded; the image is of version 2.</exception>
    ValueTask AddAsync(string name, long granularity = 0, CancellationToken cancellationToken = default);

    /// <summary>Removes a bitmap, from the storage too. An inconsistent one can be removed.</summary>
    /// <param name="name">The name.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">There is no such bitmap, or the storage failed.</exception>
    ValueTask RemoveAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>Clears all bits of a bitmap.</summary>
    /// <param name="name">The name.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">There is no such bitmap, or it is inconsistent.</exception>
    ValueTask ClearAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>Starts or stops the recording of changes in a bitmap.</summary>
    /// <param name="name">The name.</param>
    /// <param name="enabled">Whether it records.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">There is no such bitmap, or it is inconsistent.</exception>
    ValueTask SetEnabledAsync(string name, bool enabled, CancellationToken cancellationToken = default);

    /// <summary>Sets the bits of a bitmap for everything that another bitmap, of a disk of the same size, has as changed.</summary>
    /// <param name="name">The name of the bitmap that changes.</param>
    /// <param name="source">The other bitmap; its granularity may be another.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">There is no such bitmap, it is inconsistent, or the sizes differ.</exception>
    ValueTask MergeAsync(string name, IDirtyBitmap source, CancellationToken cancellationToken = default);

    /// <summary>Opens a bitmap for reading. It follows the changes of the image while that is open.</summary>
    /// <param name="name">The name.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <exception cref="BlockException">There is no such bitmap, it is inconsistent, or it cannot be read.</exception>
    ValueTask<IDirtyBitmap> OpenAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>
    /// Takes the bits out of a bitmap, which goes on recording: each change is in what is returned, or in the bitmap. If what they were
    /// taken for fails, <see cref="MergeAsync"/> puts them back.
    /// </summary>
    /// <param name="name">The name.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    /// <returns>The bits as they were; they do not change.</returns>
    /// <exception cref="BlockException">There is no such bitmap, it is inconsistent, or it cannot be read.</exception>
    ValueTask<IDirtyBitmap> TakeAsync(string name, CancellationToken cancellationToken = default);
}
