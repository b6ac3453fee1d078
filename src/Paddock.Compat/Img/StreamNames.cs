using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Img;

/// <summary>Standard input and output as images: our own name <c>-</c>, which the peer takes for a file.</summary>
internal static class StreamNames
{
    /// <summary>The name; <c>./-</c> is a file of this name.</summary>
    public const string Standard = "-";

    /// <summary>Copies standard input into a file that has no name once it is open: an image needs random access.</summary>
    /// <param name="open">Opens the file by its path.</param>
    public static async ValueTask<ImageNode> SpoolAsync(Func<string, ValueTask<ImageNode>> open)
    {
        string path = Path.Combine(
            Environment.GetEnvironmentVariable("TMPDIR") is { Length: > 0 } folder ? folder : "/var/tmp", "paddock-" + Guid.NewGuid());
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            using (var file = new FileStream(path, options))
            {
                await StandardStreams.Input().CopyToAsync(file, 1 << 20);
            }

            return await open(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"cannot keep standard input in '{path}': {e.Message} (TMPDIR names another directory)");
        }
        finally
        {
            FileNames.Delete(path);
        }
    }
}
