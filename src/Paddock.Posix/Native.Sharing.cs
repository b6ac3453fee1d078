using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>Descriptors that pass between processes, memory that they share, and events.</summary>
internal static partial class Native
{
    public const int SocketRights = 1, SocketLevel = 1;
    public const int MessageControlCut = 0x8, MessageCloseOnExec = 0x40000000, MessageNoSignal = 0x4000, MessageDontWait = 0x40;
    public const int ProtectRead = 1, ProtectWrite = 2, MapShared = 1;
    public const uint MemoryCloseOnExec = 1, MemorySealing = 2;
    public const int DuplicateCloseOnExec = 1030, AddSeals = 1033, GetSeals = 1034;
    public const int SealSeal = 1, SealShrink = 2, SealGrow = 4;
    public const int EventCloseOnExec = 0x80000, EventNonBlocking = 0x800;
    public const int EpollCloseOnExec = 0x80000, EpollAdd = 1;
    public const uint EpollIn = 1, EpollEdge = 1u << 31;
    public const short PollIn = 1, PollOut = 4;
    public const int WouldBlock = 11;
    public const int FamilyUnix = 1, TypeStream = 1, SocketCloseOnExec = 0x80000;

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    public static unsafe partial nint ReceiveMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static unsafe partial nint SendMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Map(nint wanted, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Unmap(nint start, nuint length);

    [LibraryImport("libc", EntryPoint = "fstatfs", SetLastError = true)]
    public static unsafe partial int StatFileSystem(SafeFileHandle file, byte* facts);

    [LibraryImport("libc", EntryPoint = "process_vm_readv", SetLastError = true)]
    public static unsafe partial nint ReadProcess(int process, Piece* to, nuint toCount, Piece* from, nuint fromCount, nuint flags);

    [LibraryImport("libc", EntryPoint = "process_vm_writev", SetLastError = true)]
    public static unsafe partial nint WriteProcess(int process, Piece* from, nuint fromCount, Piece* to, nuint toCount, nuint flags);

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CreateMemory(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int SetLength(SafeFileHandle file, long length);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Control(SafeFileHandle file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int CreateEvent(uint value, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static unsafe partial nint Read(SafeFileHandle file, void* into, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static unsafe partial nint Write(SafeFileHandle file, void* from, nuint length);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int CreateEpoll(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static unsafe partial int ControlEpoll(SafeFileHandle epoll, int operation, SafeFileHandle file, void* epollEvent);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static unsafe partial int WaitEpoll(SafeFileHandle epoll, void* events, int most, int milliseconds);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static unsafe partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int CreateSocket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static unsafe partial int Bind(SafeHandle socket, byte* address, uint length);

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public Piece* Pieces;
        public nuint PieceCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public unsafe struct Piece
    {
        public void* Start;
        public nuint Length;
    }

    /// <summary>struct cmsghdr; what it says follows it.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Descriptor;
        public short Wanted;
        public short Found;
    }
}
