using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>Bytes and descriptors over a connected Unix socket (unix(7), SCM_RIGHTS).</summary>
[SupportedOSPlatform("linux")]
internal static unsafe class DescriptorSocket
{
    /// <summary>The most descriptors that one call receives; the kernel closes those beyond it.</summary>
    public const int MostDescriptors = 16;

    /// <summary>Receives some bytes, waiting for the first, and the descriptors that came with them.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="into">Buffer for the bytes; not empty.</param>
    /// <param name="descriptors">Receives the descriptors, close-on-exec; owned by the caller, also if this throws.</param>
    /// <returns>Bytes; 0 at the end of the stream.</returns>
    /// <exception cref="IOException">The socket failed.</exception>
    /// <exception cref="InvalidDataException">More than <see cref="MostDescriptors"/> descriptors came.</exception>
    public static int Receive(SafeHandle socket, Span<byte> into, ICollection<SafeFileHandle> descriptors)
    {
        int controlSize = sizeof(Native.ControlHeader) + (MostDescriptors * sizeof(int));
        byte* control = stackalloc byte[controlSize];
        fixed (byte* start = into)
        {
            var piece = new Native.Piece { Start = start, Length = (nuint)into.Length };
            while (true)
            {
                var message = new Native.MessageHeader { Pieces = &piece, PieceCount = 1, Control = control,
                    ControlLength = (nuint)controlSize };
                nint count = Native.ReceiveMessage(socket, &message, Native.MessageCloseOnExec);
                if (count >= 0)
                {
                    Adopt(control, (int)message.ControlLength, descriptors);
                    return (message.Flags & Native.MessageControlCut) == 0 ? (int)count
                        : throw new InvalidDataException($"more than {MostDescriptors} descriptors came at once");
                }

                WaitOrThrow(socket, Native.PollIn, "receiving");
            }
        }
    }

    /// <summary>Sends all bytes; the descriptors go with the first. The caller keeps its own.</summary>
    /// <exception cref="IOException">The socket failed.</exception>
    public static void Send(SafeHandle socket, ReadOnlySpan<byte> data, params ReadOnlySpan<SafeFileHandle> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, 253);
        int rights = sizeof(Native.ControlHeader) + (descriptors.Length * sizeof(int));
        byte* control = stackalloc byte[rights + sizeof(ulong)];
        *(Native.ControlHeader*)control = new Native.ControlHeader { Length = (nuint)rights, Level = Native.SocketLevel,
            Type = Native.SocketRights };
        for (int i = 0; i < descriptors.Length; i++)
        {
            ((int*)(control + sizeof(Native.ControlHeader)))[i] = (int)descriptors[i].DangerousGetHandle();
        }

        bool withRights = descriptors.Length > 0;
        fixed (byte* start = data)
        {
            int done = 0;
            while (done < data.Length)
            {
                var piece = new Native.Piece { Start = start + done, Length = (nuint)(data.Length - done) };
                var message = new Native.MessageHeader { Pieces = &piece, PieceCount = 1 };
                if (withRights)
                {
                    message.Control = control;
                    message.ControlLength = (nuint)((rights + sizeof(nuint) - 1) & -sizeof(nuint));
                }

                nint count = Native.SendMessage(socket, &message, Native.MessageNoSignal);
                if (count < 0)
                {
                    WaitOrThrow(socket, Native.PollOut, "sending");
                    continue;
                }

                done += (int)count;
                withRights = false;
            }
        }
    }

    /// <summary>Another descriptor of the same open file, close-on-exec.</summary>
    /// <exception cref="IOException">The process has no descriptor left.</exception>
    public static SafeFileHandle Duplicate(SafeFileHandle handle)
    {
        int copy = Native.Control(handle, Native.DuplicateCloseOnExec, 0);
        return copy >= 0
            ? new SafeFileHandle(copy, ownsHandle: true)
            : throw new IOException($"a descriptor cannot be duplicated: {Errno.Describe(Marshal.GetLastPInvokeError())}");
    }

    /// <summary>Sends all of a short message at once, or nothing where the socket is full or fails.</summary>
    public static void TrySend(SafeHandle socket, ReadOnlySpan<byte> data)
    {
        fixed (byte* start = data)
        {
            var piece = new Native.Piece { Start = start, Length = (nuint)data.Length };
            var message = new Native.MessageHeader { Pieces = &piece, PieceCount = 1 };
            _ = Native.SendMessage(socket, &message, Native.MessageNoSignal | Native.MessageDontWait);
        }
    }

    private static void Adopt(byte* control, int length, ICollection<SafeFileHandle> descriptors)
    {
        // one header: the kernel gathers all rights of a call in it
        var header = (Native.ControlHeader*)control;
        if (length < sizeof(Native.ControlHeader) || header->Level != Native.SocketLevel || header->Type != Native.SocketRights)
        {
            return;
        }

        int count = ((int)header->Length - sizeof(Native.ControlHeader)) / sizeof(int);
        for (int i = 0; i < count; i++)
        {
            descriptors.Add(new SafeFileHandle(((int*)(control + sizeof(Native.ControlHeader)))[i], ownsHandle: true));
        }
    }

    // the runtime may have made the socket non-blocking
    private static void WaitOrThrow(SafeHandle socket, short what, string doing)
    {
        int errno = Marshal.GetLastPInvokeError();
        if (errno == Native.WouldBlock)
        {
            var entry = new Native.PollEntry { Descriptor = (int)socket.DangerousGetHandle(), Wanted = what };
            _ = Native.Poll(&entry, 1, -1);
        }
        else if (errno != Native.Interrupted)
        {
            throw new IOException($"{doing} over a Unix socket failed: {Errno.Describe(errno)}");
        }
    }
}
