using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>
/// Standard input, output or error, unbuffered. Unlike the runtime's own streams a write to a pipe without a reader, or to a descriptor
/// that is closed, is an error, and a read that waits can be cancelled.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class StandardStream : Stream
{
    private readonly SafeFileHandle _file;
    private readonly bool _isInput, _isClosed;

    internal StandardStream(int descriptor)
    {
        _file = new SafeFileHandle(descriptor, ownsHandle: false);
        _isInput = descriptor == 0;
        _isClosed = ProcessSetup.IsClosed(descriptor);
    }

    /// <inheritdoc/>
    public override bool CanRead => _isInput;

    /// <inheritdoc/>
    public override bool CanWrite => !_isInput;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override unsafe int Read(Span<byte> buffer)
    {
        ThrowIfClosed();
        fixed (byte* start = buffer)
        {
            while (true)
            {
                nint count = Native.Read(_file, start, (nuint)buffer.Length);
                if (count >= 0)
                {
                    return (int)count;
                }

                WaitOrThrow(Native.PollIn);
            }
        }
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (_isClosed || IsReady())
        {
            return Read(buffer.Span);
        }

        using var wake = EventDescriptor.Create();
        await using (cancellationToken.Register(wake.Signal))
        {
            return await Task.Run(() => ReadUnless(wake, buffer, cancellationToken), CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override unsafe void Write(ReadOnlySpan<byte> buffer)
    {
        ThrowIfClosed();
        fixed (byte* start = buffer)
        {
            for (nint done = 0; done < buffer.Length;)
            {
                nint count = Native.Write(_file, start + done, (nuint)(buffer.Length - done));
                if (count >= 0)
                {
                    done += count;
                }
                else
                {
                    WaitOrThrow(Native.PollOut);
                }
            }
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Flush()
    {
        // nothing is buffered
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    private unsafe int ReadUnless(EventDescriptor wake, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var entries = stackalloc Native.PollEntry[2];
        entries[0] = new Native.PollEntry { Descriptor = (int)_file.DangerousGetHandle(), Wanted = Native.PollIn };
        entries[1] = new Native.PollEntry { Descriptor = (int)wake.Handle.DangerousGetHandle(), Wanted = Native.PollIn };
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            entries[0].Found = entries[1].Found = 0;
            if (Native.Poll(entries, 2, -1) < 0 && Marshal.GetLastPInvokeError() != Native.Interrupted)
            {
                throw Failure();
            }

            if (entries[0].Found != 0)
            {
                return Read(buffer.Span);
            }
        }
    }

    private unsafe bool IsReady()
    {
        var entry = new Native.PollEntry { Descriptor = (int)_file.DangerousGetHandle(), Wanted = Native.PollIn };
        return Native.Poll(&entry, 1, 0) > 0;
    }

    // another holder of the descriptor may have made it non-blocking
    private unsafe void WaitOrThrow(short what)
    {
        int errno = Marshal.GetLastPInvokeError();
        if (errno == Native.WouldBlock)
        {
            var entry = new Native.PollEntry { Descriptor = (int)_file.DangerousGetHandle(), Wanted = what };
            _ = Native.Poll(&entry, 1, -1);
        }
        else if (errno != Native.Interrupted)
        {
            throw Failure();
        }
    }

    // the descriptor's number may be that of a file of the runtime by now
    private void ThrowIfClosed()
    {
        const int badDescriptor = 9;
        if (_isClosed)
        {
            throw new IOException(Errno.Describe(badDescriptor));
        }
    }

    private static IOException Failure() => new(Errno.Describe(Marshal.GetLastPInvokeError()));
}

/// <summary>The three streams of the process.</summary>
internal static class StandardStreams
{
    /// <summary>Standard input.</summary>
    public static Stream Input() => OperatingSystem.IsLinux() ? new StandardStream(0) : Console.OpenStandardInput();

    /// <summary>Standard output.</summary>
    public static Stream Output() => OperatingSystem.IsLinux() ? new StandardStream(1) : Console.OpenStandardOutput();

    /// <summary>Standard error.</summary>
    public static Stream Error() => OperatingSystem.IsLinux() ? new StandardStream(2) : Console.OpenStandardError();
}
