using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>
/// The external data file of a qcow2 image: named in the image, which makes it a plain path (never <c>json:</c> or a protocol), or by
/// the options <c>data-file</c> of whoever opens the image.
/// </summary>
/// <param name="image">How the image is opened.</param>
internal sealed class DataFileNode(OpenSettings image) : IDataFileGate
{
    private const string Option = "data-file";

    /// <summary>Opens the file that options name; null if they name none. Takes them out.</summary>
    /// <exception cref="ToolException">It cannot be opened.</exception>
    public static async ValueTask<IStorage?> TryOpenAsync(QDict options, OpenSettings image, int depth)
    {
        if (options.Take(Option) is { } node)
        {
            throw new ToolException($"Cannot find device='{node}' nor node-name='{node}'");
        }

        var file = options.TakePrefix(Option);
        if (file.Count == 0)
        {
            return null;
        }

        var settings = image with
        {
            Format = null,
            Options = null,
            Storage = null,
            StorageFacts = null,
            Over = null,
            Chain = null,
            Admit = image.AreOptionsStored ? image.Chain!.AdmitDataFile(Option) : null,
            Objects = image.AreOptionsStored ? [] : image.Objects,
        };
        string? driver = file.Take("driver") as string;
        string? name = driver is null ? file.Take("filename") as string : null;
        driver ??= name is null ? "file" : null;
        var (_, storage) = await ImageOpener.OpenBytesAsync(name, file, driver, settings, depth + 1);
        return WithoutFlushes(storage, image);
    }

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
