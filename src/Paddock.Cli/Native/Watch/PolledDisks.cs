using Paddock.Block;

namespace Paddock.Cli.Native.Watch;

/// <summary>A remote drive: one connection for all reports.</summary>
/// <param name="device">The drive; owned.</param>
internal sealed class RemotePoll(IBlockDevice device) : IPolledDisk
{
    /// <inheritdoc/>
    public string Description => "zone reports";

    /// <inheritdoc/>
    public ValueTask<IBlockDevice?> NextAsync(CancellationToken cancellationToken) => new(device);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => device.DisposeAsync();
}

/// <summary>
/// An image file: it is opened again when it has changed, since its zones are read when it is opened. A file that another process writes
/// shows what that process has flushed.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="passphrase">Passphrase of an encrypted image.</param>
internal sealed class FilePoll(string path, ReadOnlyMemory<byte>? passphrase) : IPolledDisk
{
    // warnings would appear in the middle of the view, again and again
    private readonly NativeConsole _silent = new(Stream.Null, Stream.Null, Stream.Null);
    private IBlockDevice? _device;
    private (DateTime, long) _seen;

    /// <inheritdoc/>
    public string Description => "image file, as last flushed";

    /// <inheritdoc/>
    public async ValueTask<IBlockDevice?> NextAsync(CancellationToken cancellationToken)
    {
        var file = new FileInfo(path);
        var state = file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
        if (_device is not null && state == _seen)
        {
            return null;
        }

        await CloseAsync();

        // no lock that would keep a process from writing the image while it is watched
        _device = await NativeImage.OpenDiskAsync(path, writable: false, _silent, cancellationToken, passphrase, forceShare: true);
        _seen = state;
        return _device;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => CloseAsync();

    private async ValueTask CloseAsync()
    {
        if (_device is { } open)
        {
            _device = null;
            await open.DisposeAsync();
        }
    }
}
