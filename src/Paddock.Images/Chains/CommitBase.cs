using Paddock.Posix;

namespace Paddock.Images.Chains;

/// <summary>
/// The image of a chain that changes are to be written into: found while the chain is opened, so that it is opened for writing at once.
/// </summary>
/// <param name="wanted">Its name, as stored in the image above it or as a path; null: the first backing image.</param>
internal sealed class CommitBase(string? wanted)
{
    /// <summary>The image; null while it has not been found.</summary>
    public ImageNode? Found { get; set; }

    /// <summary>Whether it is the backing image of an overlay.</summary>
    /// <param name="name">The backing file's name, as stored in the overlay.</param>
    /// <param name="overlay">Name of the overlay's file.</param>
    public bool Matches(string name, string overlay)
        => Found is null && (wanted is null
            || (BackingName.HasProtocol(wanted) || BackingName.HasProtocol(name)
                ? wanted == name || wanted == BackingName.Resolve(name, overlay)
                : FileIdentity.IsSameFile(BackingName.Resolve(wanted, overlay), BackingName.Resolve(name, overlay))));

    /// <summary>The image of a chain below its first that a name leads to; null if absent.</summary>
    /// <param name="top">The first image.</param>
    /// <param name="path">The name.</param>
    /// <param name="format">The format that it is to have; null: any.</param>
    public static ImageNode? Find(ImageNode top, string path, string? format)
    {
        for (var layer = top; layer.Backing is { } backing; layer = backing)
        {
            if ((format is null || format == backing.Driver) && (BackingName.HasProtocol(path) ? path == layer.Qcow2?.Info.BackingFile
                : backing.Protocol == "file" && FileIdentity.IsSameFile(path, backing.Storage.Name)))
            {
                return backing;
            }
        }

        return null;
    }
}

/// <summary>An image could be opened for reading, but not for the writing that it is wanted for.</summary>
internal sealed class BaseNotWritableException(string message, Exception inner) : ToolException(message, inner: inner);
