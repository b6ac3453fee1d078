using Microsoft.Win32.SafeHandles;
using Paddock.Posix;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>Memory of a virtual machine, at address 0 of its bus unless said otherwise.</summary>
internal sealed unsafe class DeviceMemory : IDisposable
{
    private readonly SharedMemory _view;

    public DeviceMemory(long length, ulong address = 0)
    {
        File = SharedMemory.Create("guest", length);
        _view = SharedMemory.Map(File, 0, length);
        Address = address;
    }

    public SafeFileHandle File { get; }

    public ulong Address { get; }

    public ulong Length => (ulong)_view.Length;

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
