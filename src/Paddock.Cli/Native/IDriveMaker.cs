namespace Paddock.Cli.Native;

/// <summary>Makes the drives of a farm.</summary>
internal interface IDriveMaker : IAsyncDisposable
{
    /// <summary>Format of the drives.</summary>
    string Format { get; }

    /// <summary>Makes a drive; may be called for several at the same time.</summary>
    /// <param name="name">The new file or image; it must not exist.</param>
    /// <param name="cancellationToken">Stops it; nothing is left behind.</param>
    /// <exception cref="Images.ToolException">It exists.</exception>
    /// <exception cref="Block.BlockException">It cannot be made.</exception>
    ValueTask MakeAsync(string name, CancellationToken cancellationToken);
}
