using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Wire;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>Guest memory as seen by the guest.</summary>
internal sealed unsafe class GuestRam : IDisposable
{
    private readonly SharedMemory _view;

    public GuestRam(ulong guestAddress, long length, ulong userAddress = 0x7f12_0000_0000)
    {
        File = SharedMemory.Create("guest", length);
        _view = SharedMemory.Map(File, 0, length);
        Description = new RegionDescription(guestAddress, (ulong)length, userAddress + guestAddress, 0);
    }

    public SafeFileHandle File { get; }

    public RegionDescription Description { get; }

    public byte* At(ulong guestAddress) => (byte*)_view.Start + (guestAddress - Description.GuestAddress);

    public Span<byte> Span(ulong guestAddress, int length) => new(At(guestAddress), length);

    public ulong User(ulong guestAddress) => guestAddress - Description.GuestAddress + Description.UserAddress;

    /// <summary>Contents of a shared file.</summary>
    public static byte[] CopyOf(SafeFileHandle file, int length)
    {
        using var view = SharedMemory.Map(file, 0, length);
        return new ReadOnlySpan<byte>((void*)view.Start, length).ToArray();
    }

    /// <summary>Creates a shared file with these contents.</summary>
    public static SafeFileHandle FileOf(byte[] bytes)
    {
        var file = SharedMemory.Create("kept", bytes.Length);
        using var view = SharedMemory.Map(file, 0, bytes.Length);
        bytes.CopyTo(new Span<byte>((void*)view.Start, bytes.Length));
        return file;
    }

    public void Dispose()
    {
        _view.Dispose();
        File.Dispose();
    }
}
