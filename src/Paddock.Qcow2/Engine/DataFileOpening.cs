using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Finds the external data file of an image: the one that the caller supplies, or the one that the header names.</summary>
internal static class DataFileOpening
{
    /// <summary>Opens the file where the image has one; null if it has none.</summary>
    /// <exception cref="BlockException">It is missing, or not allowed, or given for an image that has none.</exception>
    public static async ValueTask<ExternalData?> OpenAsync(
        LoadedHeader loaded, Qcow2OpenOptions options, IStorage image, CancellationToken cancellationToken)
    {
        bool isRaw = (loaded.Fields.Autoclear & AutoclearFeatures.RawExternalData) != 0;
        if ((loaded.Fields.Incompatible & IncompatibleFeatures.ExternalDataFile) == 0)
        {
            return options.DataFile is not null ? throw Invalid("'data-file' can only be set for images with an external data file")
                : isRaw ? throw Invalid("data-file-raw requires a data file")
                : null;
        }

        if (options.ForInfo)
        {
            return null;
        }

        if (options.DataFile is { } given)
        {
            return new ExternalData(given, isRaw);
        }

        if (string.IsNullOrEmpty(loaded.DataFileName))
        {
            throw Invalid("'data-file' is required for this image");
        }

        bool readOnly = options.ReadOnly || image.IsReadOnly;
        var storage = await options.DataFileGate.OpenDataFileAsync(loaded.DataFileName, image, readOnly, cancellationToken);
        return new ExternalData(storage, isRaw);
    }

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);
}
