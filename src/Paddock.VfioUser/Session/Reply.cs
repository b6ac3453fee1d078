using Microsoft.Win32.SafeHandles;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>A reply that is being made; reusable.</summary>
internal sealed class Reply
{
    private const int MaxPayload = VfioUserLimits.MaxRequest;

    private readonly byte[] _bytes = new byte[MessageHeader.Size + MaxPayload];
    private int _length;

    /// <summary>A descriptor to send with it; stays the owner's.</summary>
    public SafeFileHandle? Descriptor { get; private set; }

    /// <summary>Begins a reply without payload.</summary>
    public void Begin()
    {
        _length = 0;
        Descriptor = null;
    }

    /// <summary>Reserves the payload.</summary>
    /// <returns>The payload, of zeroes; at most as long as the longest request.</returns>
    public Span<byte> Payload(int length)
    {
        _length = length;
        var payload = _bytes.AsSpan(MessageHeader.Size, length);
        payload.Clear();
        return payload;
    }

    /// <summary>Shortens the payload.</summary>
    public void Shorten(int length) => _length = length;

    /// <summary>Adds a descriptor.</summary>
    public void Attach(SafeFileHandle descriptor) => Descriptor = descriptor;

    /// <summary>The message that replies to a request.</summary>
    public ReadOnlySpan<byte> Finish(in MessageHeader request)
    {
        var message = _bytes.AsSpan(0, MessageHeader.Size + _length);
        new MessageHeader(request.Id, request.Command, (uint)message.Length, HeaderFlags.Reply).WriteTo(message);
        return message;
    }

    /// <summary>The message that reports an error.</summary>
    public ReadOnlySpan<byte> Fail(in MessageHeader request, ErrorNumber error)
    {
        Begin();
        var message = _bytes.AsSpan(0, MessageHeader.Size);
        new MessageHeader(request.Id, request.Command, MessageHeader.Size, HeaderFlags.Reply | HeaderFlags.Error, (uint)error)
            .WriteTo(message);
        return message;
    }
}
