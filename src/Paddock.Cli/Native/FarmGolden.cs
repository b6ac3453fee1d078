using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>The image that the drives of a farm are made of.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Format">Its format; null: recognized.</param>
/// <param name="Passphrase">Its passphrase; null: none.</param>
/// <param name="Backing">Which backing files it may use.</param>
internal sealed record FarmGolden(string Name, string? Format, ReadOnlyMemory<byte>? Passphrase, string Backing)
{
    /// <summary>What the names of the drives begin with.</summary>
    public string Stem => RbdTarget.ShortName(Name) ?? Path.GetFileNameWithoutExtension(Name);

    /// <summary>The image in RBD; null: it is a file.</summary>
    public RbdTarget? InRbd => RbdTarget.IsName(Name) ? RbdDriver.Parse(Name) : null;

    /// <summary>
    /// Makes the configuration file that the name has that of this process and its children: overlays store the name, and an image
    /// must not choose a file.
    /// </summary>
    public void NameConfiguration()
    {
        if (InRbd?.ConfigurationFile is { } file)
        {
            Environment.SetEnvironmentVariable(RbdConnection.FileVariable, file);
        }
    }

    /// <summary>Opens it for reading.</summary>
    /// <exception cref="ToolException">It cannot be opened, or its format must be named.</exception>
    public async ValueTask<OverlaySource> OpenAsync(NativeConsole console, CancellationToken cancellationToken)
    {
        var opener = new ImageOpener("paddock", console.Error) { Backing = ImageChain.ParsePolicy(Backing), SharesConnections = true };
        return await OverlaySource.OpenAsync(opener, Name, Format, Passphrase, cancellationToken);
    }
}
