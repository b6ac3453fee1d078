namespace Paddock.Posix;

/// <summary>
/// Standard output or error: a failure to write (a full disk, a pipe without a reader, a closed descriptor) is remembered and not thrown,
/// so that it interrupts no command in the middle of its work. The command reports it in one line when it ends.
/// </summary>
/// <param name="inner">Where the bytes go.</param>
/// <param name="name">Name for the message.</param>
/// <param name="retries">Whether later writes are tried again after a failure, as a log requires; otherwise they are dropped.</param>
internal sealed class OutputStream(Stream inner, string name, bool retries = false) : Stream
{
    private readonly Lock _lock = new();

    /// <summary>Why something could not be written; null while everything could.</summary>
    public string? Failure { get; private set; }

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Ends a command whose further output would be lost.</summary>
    /// <exception cref="OutputException">Something could not be written.</exception>
    public void ThrowIfFailed()
    {
        if (Failure is { } why)
        {
            throw new OutputException(why);
        }
    }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        lock (_lock)
        {
            if (Failure is not null && !retries)
            {
                return;
            }

            try
            {
                inner.Write(buffer);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                Failure = $"cannot write to {name}: {e.Message}";
            }
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        Write(buffer.AsSpan(offset, count));
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override void Flush()
    {
        // nothing is buffered here
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();
}

/// <summary>Standard output can no longer be written.</summary>
/// <param name="message">Why.</param>
internal sealed class OutputException(string message) : IOException(message);
