using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Testing.Protocols;

/// <summary>Creates qcow2 files for tests.</summary>
public static class ImageFile
{
    /// <summary>Creates an image.</summary>
    public static async Task CreateAsync(string path, long size, ZonedCreateOptions? zoned = null)
    {
        await using var file = FileStorage.Open(new FileOpenOptions { Path = path, Create = true });
        await Qcow2Image.CreateAsync(file, new Qcow2CreateOptions { Size = size, Zoned = zoned });
    }
}
