using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>
/// Reads messages from a Unix socket, as many with one call as have arrived. For each message: <see cref="TryReadHeader"/>, then
/// <see cref="ReadPayload"/> or <see cref="CopyPayload"/>.
/// </summary>
/// <param name="socket">The socket.</param>
internal sealed class MessageReader(SafeHandle socket) : IDisposable
{
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(8 * VfioUserLimits.MaxRequest, pinned: true);
    private readonly List<SafeFileHandle> _arrived = [];
    private readonly List<SafeFileHandle> _descriptors = [];
    private int _start, _end;

    // the kernel ends a read after the bytes that descriptors came with: they belong to the message of its last byte
    private int _arrivedAt = -1;

    /// <summary>Descriptors of the current message, after its payload was read; those that the caller does not remove are closed.</summary>
    public List<SafeFileHandle> Descriptors => _descriptors;

    /// <summary>Waits for the header of the next message.</summary>
    /// <returns>False if the client disconnected between two messages.</returns>
    /// <exception cref="VfioUserException">The bytes are not a message.</exception>
    /// <exception cref="EndOfStreamException">The socket failed, or the connection ended within the message.</exception>
    public bool TryReadHeader(out MessageHeader header)
    {
        CloseDescriptors();
        header = default;
        if (_start == _end && !TryReceive())
        {
            return false;
        }

        Fill(MessageHeader.Size);
        header = MessageHeader.Parse(_buffer.AsSpan(_start));
        Take(MessageHeader.Size);
        return true;
    }

    /// <summary>Waits for a payload; valid until the next call.</summary>
    /// <exception cref="EndOfStreamException">The socket failed, or the connection ended within the message.</exception>
    public Span<byte> ReadPayload(int length)
    {
        Fill(length);
        var payload = _buffer.AsSpan(_start, length);
        Take(length);
        return payload;
    }

    /// <summary>Waits for a payload of any length, or a part of it, and stores it elsewhere.</summary>
    /// <exception cref="EndOfStreamException">The socket failed, or the connection ended within the message.</exception>
    public void CopyPayload(Span<byte> to)
    {
        while (to.Length > 0)
        {
            if (_start == _end)
            {
                Fill(1);
            }

            int count = Math.Min(to.Length, _end - _start);
            _buffer.AsSpan(_start, count).CopyTo(to);
            Take(count);
            to = to[count..];
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        CloseDescriptors();
        Close(_arrived);
    }

    private void Take(int count)
    {
        _start += count;
        if (_arrivedAt >= 0 && _arrivedAt < _start)
        {
            _descriptors.AddRange(_arrived);
            _arrived.Clear();
            _arrivedAt = -1;
            if (_descriptors.Count > VfioUserLimits.MaxDescriptors)
            {
                throw new VfioUserException(
                    $"{_descriptors.Count} descriptors with one message: expected {VfioUserLimits.MaxDescriptors} or less");
            }
        }
    }

    private void Fill(int count)
    {
        while (_end - _start < count)
        {
            if (!TryReceive())
            {
                throw new EndOfStreamException("the connection ended within a message");
            }
        }
    }

    private bool TryReceive()
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_buffer.Length - _end < VfioUserLimits.MaxRequest)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _arrivedAt -= _arrivedAt >= 0 ? _start : 0;
            (_start, _end) = (0, _end - _start);
        }

        try
        {
            int before = _arrived.Count, count = DescriptorSocket.Receive(socket, _buffer.AsSpan(_end), _arrived);
            _end += count;
            if (_arrived.Count > before)
            {
                _arrivedAt = _end - 1;
            }

            return _arrived.Count <= VfioUserLimits.MaxDescriptors ? count > 0
                : throw new VfioUserException(
                    $"{_arrived.Count} descriptors with one message: expected {VfioUserLimits.MaxDescriptors} or less");
        }
        catch (IOException e) when (e is not VfioUserException)
        {
            throw new EndOfStreamException(e.Message, e);
        }
        catch (InvalidDataException e)
        {
            throw new VfioUserException(e.Message);
        }
    }

    private void CloseDescriptors() => Close(_descriptors);

    private static void Close(List<SafeFileHandle> descriptors)
    {
        if (descriptors.Count == 0)
        {
            return;
        }

        foreach (var descriptor in descriptors)
        {
            descriptor.Dispose();
        }

        descriptors.Clear();
    }
}
