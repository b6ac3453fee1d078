using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Session;
using Paddock.VhostUser.Wire;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>Front end with a guest; sends what QEMU sends, or invalid messages.</summary>
internal sealed unsafe class FrontEnd : IDisposable
{
    public const ulong Version1 = 1UL << 32, Protocol = 1UL << 30, Packed = 1UL << 34;
    public const int DataBytes = 64 << 10;

    private const uint In = 0, Append = 15, Report = 16;

    private readonly Socket _socket;
    private readonly MessageChannel _channel;
    private readonly Message _message = new();
    private ulong _data;

    public FrontEnd(Socket socket, GuestRam ram)
    {
        (_socket, Ram) = (socket, ram);
        _channel = new MessageChannel(socket.SafeHandle);
        _data = ram.Description.GuestAddress + (8 * GuestRing.Bytes);
    }

    public GuestRam Ram { get; }

    /// <summary>Connects to a server.</summary>
    public static FrontEnd Connect(string path, GuestRam ram)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return new FrontEnd(socket, ram);
    }

    /// <summary>Sends a request and, if requested, waits for its acknowledgement.</summary>
    /// <returns>The acknowledgement; 0 if none is requested.</returns>
    public ulong Tell(FrontEndRequest request, ReadOnlySpan<byte> payload, bool acknowledged = true, params SafeFileHandle[] descriptors)
    {
        Send(request, HeaderFlags.Version | (acknowledged ? HeaderFlags.NeedReply : 0), payload, descriptors);
        return acknowledged ? U64Payload.Parse(Receive(request).Payload) : 0;
    }

    public void TellNumber(FrontEndRequest request, ulong number)
    {
        byte[] payload = new byte[U64Payload.Size];
        U64Payload.Write(payload, number);
        Assert.Equal(0UL, Tell(request, payload));
    }

    public ulong TellState(FrontEndRequest request, int ring, uint number)
    {
        byte[] payload = new byte[VringState.Size];
        new VringState((uint)ring, number).WriteTo(payload);
        return Tell(request, payload);
    }

    public void TellEvent(FrontEndRequest request, int ring, SafeFileHandle? descriptor)
    {
        byte[] payload = new byte[U64Payload.Size];
        new VringDescriptor(ring, descriptor is not null).WriteTo(payload);
        Assert.Equal(0UL, Tell(request, payload, acknowledged: true, descriptor is null ? [] : [descriptor]));
    }

    /// <summary>Sends a request that has its own reply; the result is valid until the next call.</summary>
    public Message Ask(FrontEndRequest request, ReadOnlySpan<byte> payload = default)
    {
        Send(request, HeaderFlags.Version, payload);
        return Receive(request);
    }

    public ulong AskNumber(FrontEndRequest request) => U64Payload.Parse(Ask(request).Payload);

    public uint AskBase(int ring)
    {
        byte[] payload = new byte[VringState.Size];
        new VringState((uint)ring, 0).WriteTo(payload);
        return VringState.Parse(Ask(FrontEndRequest.GetVringBase, payload).Payload).Number;
    }

    public void Send(FrontEndRequest request, HeaderFlags flags, ReadOnlySpan<byte> payload, params SafeFileHandle[] descriptors)
    {
        using var message = new Message();
        payload.CopyTo(message.Begin((uint)request, flags, payload.Length));
        Paddock.Posix.DescriptorSocket.Send(_socket.SafeHandle, message.Bytes, descriptors);
    }

    public void SendRaw(ReadOnlySpan<byte> bytes, params SafeFileHandle[] descriptors)
        => Paddock.Posix.DescriptorSocket.Send(_socket.SafeHandle, bytes, descriptors);

    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Whether the peer has disconnected, with no data left to read.</summary>
    public bool HasHungUp => _socket.Poll(0, SelectMode.SelectRead) && _socket.Available == 0;

    /// <summary>Waits until the peer has disconnected.</summary>
    public bool IsHungUp()
    {
        try
        {
            return _socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    /// <summary>Negotiates features and shares the memory.</summary>
    public void Negotiate(ulong features = Version1)
    {
        Tell(FrontEndRequest.SetOwner, default, acknowledged: false);
        ulong offered = AskNumber(FrontEndRequest.GetFeatures);
        Assert.NotEqual(0UL, offered & Protocol);
        byte[] number = new byte[U64Payload.Size];
        U64Payload.Write(number, AskNumber(FrontEndRequest.GetProtocolFeatures));
        Tell(FrontEndRequest.SetProtocolFeatures, number, acknowledged: false);
        TellNumber(FrontEndRequest.SetFeatures, (offered & (1UL << 9)) | features | Protocol);
    }

    public void ShareMemory()
    {
        byte[] table = new byte[MemoryTable.SizeOf(1)];
        MemoryTable.Write(table, [Ram.Description]);
        Assert.Equal(0UL, Tell(FrontEndRequest.SetMemoryTable, table, acknowledged: true, Ram.File));
    }

    /// <summary>Sets a ring up and starts it.</summary>
    public void Start(int number, GuestRing ring, uint from)
    {
        Assert.Equal(0UL, TellState(FrontEndRequest.SetVringNum, number, (uint)ring.Size));
        Assert.Equal(0UL, TellState(FrontEndRequest.SetVringBase, number, from));
        byte[] address = new byte[VringAddress.Size];
        new VringAddress((uint)number, 0, Ram.User(ring.Descriptors), Ram.User(ring.Device), Ram.User(ring.Driver), 0).WriteTo(address);
        Assert.Equal(0UL, Tell(FrontEndRequest.SetVringAddress, address));
        TellEvent(FrontEndRequest.SetVringError, number, ring.Error.Handle);
        TellEvent(FrontEndRequest.SetVringCall, number, ring.Call.Handle);
        TellEvent(FrontEndRequest.SetVringKick, number, ring.Kick.Handle);
        Assert.Equal(0UL, TellState(FrontEndRequest.SetVringEnable, number, 1));
    }

    public GuestRing Ring(int number, int size, bool packed)
    {
        ulong at = Ram.Description.GuestAddress + ((ulong)number * GuestRing.Bytes);
        return packed ? new PackedGuestRing(Ram, at, size) : new SplitGuestRing(Ram, at, size);
    }

    /// <summary>Adds a request to a ring, with its data split into the given number of pieces.</summary>
    /// <returns>Addresses of its data and its status.</returns>
    public (int Id, ulong Data, ulong Status) Put(
        GuestRing ring, uint type, long offset, ReadOnlySpan<byte> data, int length, int pieces = 1)
    {
        ulong header = _data, body = header + 16, status = body + (ulong)length + sizeof(ulong);
        _data = status + 16;
        if (_data + DataBytes > Ram.Description.GuestAddress + Ram.Description.Length)
        {
            _data = Ram.Description.GuestAddress + (8 * GuestRing.Bytes);
        }

        var bytes = Ram.Span(header, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, type);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], offset / 512);
        Ram.Span(status, 1)[0] = 0xff;
        data.CopyTo(Ram.Span(body, length));
        List<GuestPiece> chain = [new(header, 16, false)];
        for (int i = 0, each = length / pieces; i < pieces && length > 0; i++)
        {
            chain.Add(new(body + (ulong)(i * each), (uint)(i == pieces - 1 ? length - (i * each) : each), type is In or Report));
        }

        chain.Add(type == Append ? new(status - 8, 9, true) : new(status, 1, true));
        return (ring.Put([.. chain]), body, status);
    }

    /// <summary>Writes, and waits for the completion.</summary>
    public void Write(GuestRing ring, long offset, ReadOnlySpan<byte> data)
    {
        var (id, _, status) = Put(ring, 1, offset, data, data.Length);
        ring.Kick.Signal();
        Assert.Equal(id, ring.Get(CancellationToken.None).Id);
        Assert.Equal(0, Ram.Span(status, 1)[0]);
    }

    /// <summary>Reads, and waits for the completion.</summary>
    public byte[] Read(GuestRing ring, long offset, int length)
    {
        var (id, data, status) = Put(ring, 0, offset, default, length);
        ring.Kick.Signal();
        Assert.Equal((id, (uint)length + 1), ring.Get(CancellationToken.None));
        Assert.Equal(0, Ram.Span(status, 1)[0]);
        return Ram.Span(data, length).ToArray();
    }

    /// <summary>Receives the reply to a request sent earlier.</summary>
    public void AskLate(FrontEndRequest request) => Receive(request);

    /// <summary>Writes from another region and waits for completion; the used entry is left in the ring.</summary>
    public static void WriteFrom(GuestRam other, GuestRing ring)
    {
        ulong header = other.Description.GuestAddress, status = header + 16;
        var bytes = other.Span(header, 17);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 1);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], 100);
        bytes[16] = 0xff;
        ring.Put(new GuestPiece(header, 16, false), new GuestPiece(header + 4096, 4096, false), new GuestPiece(status, 1, true));
        ring.Kick.Signal();
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref *other.At(status)) == 0, TimeSpan.FromSeconds(30)));
    }

    public void Dispose()
    {
        _message.Dispose();
        _socket.Dispose();
    }

    private Message Receive(FrontEndRequest request)
    {
        // the header of a reply is not that of a request, so it is parsed here
        _message.Clear();
        byte[] head = new byte[MessageHeader.Size];
        Fill(head);
        var flags = (HeaderFlags)BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(4));
        Assert.Equal(HeaderFlags.Version | HeaderFlags.Reply, flags);
        Assert.Equal((uint)request, BinaryPrimitives.ReadUInt32LittleEndian(head));
        int length = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8));
        var descriptors = _message.Descriptors.ToArray();
        _message.Descriptors.Clear();
        var payload = _message.Begin((uint)request, flags, length);
        foreach (var descriptor in descriptors)
        {
            _message.Descriptors.Add(descriptor);
        }

        Fill(payload);
        return _message;
    }

    private void Fill(Span<byte> into)
    {
        while (into.Length > 0)
        {
            int count = Paddock.Posix.DescriptorSocket.Receive(_socket.SafeHandle, into, _message.Descriptors);
            if (count == 0)
            {
                throw new IOException("the server hung up");
            }

            into = into[count..];
        }
    }
}
