using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>
/// The external data file of a qcow2 image: named in the image, which makes it a plain path (never <c>json:</c> or a protocol), or by
/// the options <c>data-file</c> of whoever opens the image.
/// </summary>
/// <param name="image">How the image is opened.</param>
internal sealed class DataFileNode(OpenSettings image) : IDataFileGate
{
    /// <summary>Key of the node.</summary>
    public const string Option = "data-file";

    /// <summary>Settings of the node that options of the image describe.</summary>
    public static OpenSettings SettingsFor(OpenSettings image) => image.ForChild() with
    {
        // the image, not its data file, is the one whose directory its backing file may be in
        Chain = image.Chain!.Branch(),
        Admit = image.AreOptionsStored ? image.Chain.AdmitDataFile(Option) : null,
        Objects = image.AreOptionsStored ? [] : image.Objects,
        Secrets = image.Secrets ?? image.Objects,
    };

    /// <inheritdoc/>
    public ValueTask<IStorage> OpenDataFileAsync(string name, IStorage storage, bool isReadOnly, CancellationToken cancellationToken)
    {
        var chain = image.Chain!;
        var admit = chain.AdmitDataFile(name);
        try
        {
            var file = ImageOpener.OpenStored(
                chain.PathOfDataFile(name, storage.Name), isReadOnly, image.ForceShare, direct: ImageOpener.IsDirect(image.Cache),
                admit: admit);
            return new(WithoutFlushes(file, image));
        }
        catch (ToolException e)
        {
            var cause = e.InnerException as BlockException;
            throw new BlockException(cause?.Error ?? BlockError.NotFound, EscapedText.Escape(e.Message), e) { Errno = cause?.Errno ?? 0 };
        }
    }

    private static IStorage WithoutFlushes(IStorage storage, OpenSettings settings)
        => ImageOpener.IsUnsafe(settings.Cache) ? new WindowStorage(storage, flushes: false) : storage;
}
