using System.Globalization;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>The overlays of a farm; removed when disposed unless they are kept.</summary>
internal sealed class FarmOverlays : IDisposable
{
    private readonly string _folder;
    private readonly bool _keeps, _madeFolder;
    private readonly List<string> _paths = [];

    private FarmOverlays(string folder, bool keeps, bool madeFolder)
    {
        _folder = folder;
        _keeps = keeps;
        _madeFolder = madeFolder;
    }

    /// <summary>The overlays, in order.</summary>
    public IReadOnlyList<string> Paths => _paths;

    /// <summary>Overlays in a directory, which is created if it does not exist.</summary>
    /// <exception cref="ToolException">The directory cannot be created.</exception>
    public static FarmOverlays In(string folder, bool keeps)
    {
        bool exists = Directory.Exists(folder);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"--dir '{folder}': {e.Message}");
        }

        return new FarmOverlays(folder, keeps, !exists);
    }

    /// <summary>Checks that the process may open as many files as a farm needs.</summary>
    /// <exception cref="ToolException">It may not; the message has the limit and the number.</exception>
    public static void CheckOpenFiles(int count)
    {
        // the overlay and the image below it; sockets, the log and the runtime's own
        int needed = (2 * count) + 128;
        if (ServerSockets.MaxOpenFiles() is { } limit && limit < needed)
        {
            throw new ToolException(
                $"--count {count}: {count} drives need about {needed} open files, and the limit is {limit}; raise it with "
                + $"'ulimit -n {needed}' as root, or LimitNOFILE= in a systemd unit");
        }
    }

    /// <summary>Creates the overlays <c>STEM-1.qcow2</c> and so on.</summary>
    /// <param name="golden">The image below them.</param>
    /// <param name="stem">What their names begin with.</param>
    /// <param name="count">Their number.</param>
    /// <param name="format">Format of the image; null: recognized.</param>
    /// <param name="passphrase">Its passphrase; null: none.</param>
    /// <param name="backing">Which backing files the image may use.</param>
    /// <param name="console">Receives warnings and progress.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ToolException">One cannot be created.</exception>
    public async Task CreateAsync(
        string golden, string stem, int count, string? format, ReadOnlyMemory<byte>? passphrase, string backing, NativeConsole console,
        CancellationToken cancellationToken)
    {
        var opener = new ImageOpener("paddock", console.Error) { Backing = ImageChain.ParsePolicy(backing) };
        await using var source = await OverlaySource.OpenAsync(opener, golden, format, passphrase, cancellationToken);
        for (int i = 1; i <= count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            string path = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{stem}-{i}.qcow2"));
            await source.CreateAsync(path, cancellationToken);
            _paths.Add(path);
            console.Progress("creating drives", (double)i / count);
        }

        console.EndProgress();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_keeps)
        {
            return;
        }

        foreach (string path in _paths)
        {
            FileNames.Delete(path);
        }

        if (_madeFolder)
        {
            Directory.Delete(_folder);
        }
    }
}
