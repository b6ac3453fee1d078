using Microsoft.Win32.SafeHandles;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>A reusable message of any length with its descriptors; closes descriptors that have not been taken.</summary>
internal sealed class Message : IDisposable
{
    private readonly byte[] _bytes = new byte[MessageHeader.Size + VhostUserLimits.MaxPayload];
    private readonly List<SafeFileHandle> _descriptors = [];

    /// <summary>The header.</summary>
    public MessageHeader Header { get; private set; }

    /// <summary>The payload.</summary>
    public Span<byte> Payload => _bytes.AsSpan(MessageHeader.Size, Header.Length);

    /// <summary>Type of the front end's request.</summary>
    public FrontEndRequest Request => (FrontEndRequest)Header.Request;

    /// <summary>The complete message on the wire.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, MessageHeader.Size + Header.Length);

    /// <summary>Descriptors received or sent with the message.</summary>
    public IList<SafeFileHandle> Descriptors => _descriptors;

    /// <summary>Receive buffer of the header.</summary>
    public Span<byte> HeaderBytes => _bytes.AsSpan(0, MessageHeader.Size);

    /// <summary>Parses the header in <see cref="HeaderBytes"/>.</summary>
    /// <exception cref="VhostUserException">Not a valid message.</exception>
    public void ParseHeader() => Header = MessageHeader.Parse(HeaderBytes);

    /// <summary>Begins a message; the caller fills in the payload.</summary>
    /// <returns>The payload, of zeroes.</returns>
    public Span<byte> Begin(uint request, HeaderFlags flags, int length)
    {
        Clear();
        Header = new MessageHeader(request, flags, length);
        Header.WriteTo(_bytes);
        Payload.Clear();
        return Payload;
    }

    /// <summary>Begins the reply to a request.</summary>
    /// <returns>The payload, of zeroes.</returns>
    public Span<byte> BeginReply(Message request, int length)
        => Begin(request.Header.Request, HeaderFlags.Version | HeaderFlags.Reply, length);

    /// <summary>Makes it the reply to a request, with a number.</summary>
    public void ReplyNumber(Message request, ulong value) => U64Payload.Write(BeginReply(request, U64Payload.Size), value);

    /// <summary>The number of a message that has nothing else.</summary>
    /// <exception cref="VhostUserException">It has another payload, or descriptors.</exception>
    public ulong Number()
    {
        Expect(U64Payload.Size, 0);
        return U64Payload.Parse(Payload);
    }

    /// <summary>Rejects any other payload length or number of descriptors.</summary>
    /// <exception cref="VhostUserException">The message differs.</exception>
    public void Expect(int length, int descriptors)
    {
        VhostUserException.ExpectLength(Request.ToString(), length, Header.Length);
        ExpectDescriptors(descriptors);
    }

    /// <summary>Rejects any other number of descriptors.</summary>
    /// <exception cref="VhostUserException">The message differs.</exception>
    public void ExpectDescriptors(int wanted)
    {
        if (_descriptors.Count != wanted)
        {
            throw new VhostUserException(Request.ToString(), 0, $"{_descriptors.Count} descriptors came where {wanted} must");
        }
    }

    /// <summary>Transfers a descriptor to the caller.</summary>
    public SafeFileHandle TakeDescriptor(int index)
    {
        var taken = _descriptors[index];
        _descriptors.RemoveAt(index);
        return taken;
    }

    /// <summary>Closes the descriptors.</summary>
    public void Clear()
    {
        foreach (var descriptor in _descriptors)
        {
            descriptor.Dispose();
        }

        _descriptors.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();
}
