namespace Paddock.Nbd.Transport;

/// <summary>A connection as the stream that a TLS protocol reads and writes.</summary>
internal sealed class PskStream(SocketChannel channel) : Stream
{
    /// <summary>Discards further output: a side that fails a handshake disconnects without an alert, as QEMU does.</summary>
    public bool IsMuted { get; set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer) => channel.Receive(buffer);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (!IsMuted && !channel.Send(buffer))
        {
            throw new IOException("the peer has disconnected");
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
