using Microsoft.Win32.SafeHandles;
using Paddock.Posix;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>Memory of a virtual machine, at address 0 of its bus unless said otherwise.</summary>
internal sealed unsafe class DeviceMemory : IDisposable
{
    private static int _created;

    private readonly SharedMemory _view;
    private readonly string _name = $"guest-{Interlocked.Increment(ref _created)}";

    public DeviceMemory(long length, ulong address = 0)
    {
        File = SharedMemory.Create(_name, length);
        _view = SharedMemory.Map(File, 0, length);
        Address = address;
    }

    public SafeFileHandle File { get; }

    public ulong Address { get; }

    public ulong Length => (ulong)_view.Length;

    /// <summary>Mappings of this memory in this process, the one of this object included.</summary>
    public int Mappings => System.IO.File.ReadLines("/proc/self/maps").Count(l => l.EndsWith(Link, StringComparison.Ordinal));

    /// <summary>Descriptors of this memory in this process, the one of this object included.</summary>
    public int Descriptors => Directory.GetFileSystemEntries("/proc/self/fd").Count(f => new FileInfo(f).LinkTarget == Link);

    private string Link => $"/memfd:{_name} (deleted)";

    public byte* At(ulong address) => (byte*)_view.Start + (address - Address);

    public Span<byte> Span(ulong address, int length) => new(At(address), length);

    public ref uint U32(ulong address) => ref *(uint*)At(address);

    public ref ulong U64(ulong address) => ref *(ulong*)At(address);

    public void Dispose()
    {
        _view.Dispose();
        File.Dispose();
    }
}
