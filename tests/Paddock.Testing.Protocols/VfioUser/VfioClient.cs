using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>
/// A vfio-user client: sends what a virtual machine monitor sends, or anything else, and serves DMA messages from its memory. Replies are
/// received on a thread of its own; any thread may send.
/// </summary>
internal sealed class VfioClient : IDisposable
{
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);

    private const int DmaHeader = MessageHeader.Size + DmaAccess.Size;

    private readonly Socket _socket;
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<ushort, TaskCompletionSource<VfioReply>> _waiting = new();
    private readonly Thread _receiver;
    private int _lastId;
    private long _dmaMessages;
    private volatile bool _ended;

    public VfioClient(Socket socket)
    {
        _socket = socket;
        _receiver = new Thread(Receive) { IsBackground = true, Name = "vfio client" };
        _receiver.Start();
    }

    /// <summary>Memory that DMA messages access; null: they are rejected.</summary>
    public DeviceMemory? Memory { get; init; }

    /// <summary>Decides whether a DMA message gets an answer; null: all do.</summary>
    public Func<MessageHeader, bool>? Answers { get; init; }

    /// <summary>Number of DMA messages received.</summary>
    public long DmaMessages => Interlocked.Read(ref _dmaMessages);

    /// <summary>Largest data of a DMA message received, in bytes.</summary>
    public ulong LargestDma { get; private set; }

    /// <summary>Whether the server has disconnected.</summary>
    public bool HasEnded => _ended;

    public static Socket ConnectSocket(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    /// <summary>Sends a request and waits for the reply.</summary>
    public VfioReply Ask(Command command, ReadOnlySpan<byte> payload, params SafeFileHandle[] descriptors)
    {
        var wait = Begin(command, payload, descriptors);
        return wait.Wait(AnswerLimit) ? wait.Result : throw new TimeoutException($"no answer to {command} in {AnswerLimit}");
    }

    /// <summary>Sends a request; the task is its reply.</summary>
    public Task<VfioReply> Begin(Command command, ReadOnlySpan<byte> payload, params SafeFileHandle[] descriptors)
    {
        ushort id = (ushort)Interlocked.Increment(ref _lastId);
        var wait = new TaskCompletionSource<VfioReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting[id] = wait;
        Send(id, command, HeaderFlags.None, payload, descriptors);
        if (_ended)
        {
            wait.TrySetException(new EndOfStreamException("the server disconnected"));
        }

        return wait.Task;
    }

    /// <summary>Sends a request without a reply.</summary>
    public void Post(Command command, ReadOnlySpan<byte> payload) => Send(0, command, HeaderFlags.NoReply, payload);

    /// <summary>Sends any bytes.</summary>
    public void SendRaw(ReadOnlySpan<byte> bytes, params SafeFileHandle[] descriptors)
    {
        lock (_lock)
        {
            DescriptorSocket.Send(_socket.SafeHandle, bytes, descriptors);
        }
    }

    /// <summary>Waits until the server has disconnected.</summary>
    public bool WaitForEnd(int seconds = 30) => _receiver.Join(TimeSpan.FromSeconds(seconds));

    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    public void Dispose()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the server has disconnected
        }

        _receiver.Join();
        _socket.Dispose();
    }

    private void Send(
        ushort id, Command command, HeaderFlags flags, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeFileHandle> descriptors)
    {
        Span<byte> message = payload.Length <= 256 ? stackalloc byte[MessageHeader.Size + payload.Length]
            : new byte[MessageHeader.Size + payload.Length];
        new MessageHeader(id, command, (uint)message.Length, flags).WriteTo(message);
        payload.CopyTo(message[MessageHeader.Size..]);
        lock (_lock)
        {
            DescriptorSocket.Send(_socket.SafeHandle, message, descriptors);
        }
    }

    private void Receive()
    {
        var descriptors = new List<SafeFileHandle>();
        try
        {
            byte[] head = new byte[MessageHeader.Size];
            while (Fill(head, descriptors))
            {
                var header = MessageHeader.Parse(head, MessageHeader.MaxWithData);
                byte[] payload = new byte[header.PayloadSize];
                if (payload.Length > 0 && !Fill(payload, descriptors))
                {
                    break;
                }

                if (header.IsReply)
                {
                    if (_waiting.TryRemove(header.Id, out var wait))
                    {
                        wait.SetResult(new VfioReply(header, payload, [.. descriptors]));
                    }

                    descriptors.Clear();
                }
                else
                {
                    ServeDma(header, payload);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // disconnected
        }

        _ended = true;
        foreach (var wait in _waiting.Values)
        {
            wait.TrySetException(new EndOfStreamException("the server disconnected"));
        }
    }

    private void ServeDma(MessageHeader header, byte[] payload)
    {
        var access = DmaAccess.Parse(payload);
        LargestDma = Math.Max(LargestDma, access.Count);
        Interlocked.Increment(ref _dmaMessages);
        if (Answers?.Invoke(header) == false)
        {
            return;
        }

        bool isRead = header.Command == Command.DmaRead;
        bool isInside = Memory is { } m && access.Address >= m.Address && access.Count <= m.Length
            && access.Address - m.Address <= m.Length - access.Count;
        if (!isInside)
        {
            byte[] error = new byte[MessageHeader.Size];
            new MessageHeader(header.Id, header.Command, MessageHeader.Size, HeaderFlags.Reply | HeaderFlags.Error, 14).WriteTo(error);
            SendRaw(error);
            return;
        }

        var data = Memory!.Span(access.Address, (int)access.Count);
        byte[] reply = new byte[DmaHeader + (isRead ? data.Length : 0)];
        new MessageHeader(header.Id, header.Command, (uint)reply.Length, HeaderFlags.Reply).WriteTo(reply);
        access.WriteTo(reply.AsSpan(MessageHeader.Size));
        if (isRead)
        {
            data.CopyTo(reply.AsSpan(DmaHeader));
        }
        else
        {
            payload.AsSpan(DmaAccess.Size).CopyTo(data);
        }

        SendRaw(reply);
    }

    private bool Fill(Span<byte> to, List<SafeFileHandle> descriptors)
    {
        while (to.Length > 0)
        {
            int count = DescriptorSocket.Receive(_socket.SafeHandle, to, descriptors);
            if (count == 0)
            {
                return false;
            }

            to = to[count..];
        }

        return true;
    }
}
