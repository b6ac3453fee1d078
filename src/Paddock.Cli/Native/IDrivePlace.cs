namespace Paddock.Cli.Native;

/// <summary>Where the drives of a farm are.</summary>
internal interface IDrivePlace : IDisposable
{
    /// <summary>How many drives are made or removed at the same time.</summary>
    int AtOnce { get; }

    /// <summary>The file, or the image, of a drive.</summary>
    /// <param name="drive">Name of the drive.</param>
    /// <exception cref="Images.ToolException">The name is too long there.</exception>
    string NameOf(string drive);

    /// <summary>Removes a drive; nothing happens if it is gone.</summary>
    /// <param name="name">The file, or the image.</param>
    /// <exception cref="Block.BlockException">It cannot be removed.</exception>
    ValueTask RemoveAsync(string name);
}
