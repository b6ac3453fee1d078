using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>A block device of the kernel's NBD client, such as <c>/dev/nbd0</c> (linux/nbd.h).</summary>
internal sealed class KernelDevice : IDisposable
{
    private const nuint SetSocket = 0xab00, SetBlockSize = 0xab01, DoIt = 0xab03, ClearSocket = 0xab04, ClearQueue = 0xab05;
    private const nuint SetBlocks = 0xab07, DisconnectDevice = 0xab08, SetFlags = 0xab0a, SetReadOnly = 0x125d;
    private const int BlockSize = 512, ReadOnlyFlag = 2;

    private readonly SafeFileHandle _file;

    private KernelDevice(SafeFileHandle file) => _file = file;

    /// <summary>Text of the last call's error on this thread.</summary>
    public static string LastError => Errno.Describe(Marshal.GetLastPInvokeError());

    /// <summary>Opens a device.</summary>
    /// <returns>Null if it cannot be opened: see <see cref="LastError"/>.</returns>
    public static KernelDevice? Open(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new BlockException(BlockError.NotSupported, "kernel NBD devices exist on Linux only");
        }

        int descriptor = Native.Open(ByteText.ToPath(path), Native.OpenReadWrite | Native.OpenCloseOnExec, 0);
        return descriptor < 0 ? null : new KernelDevice(new SafeFileHandle(descriptor, ownsHandle: true));
    }

    /// <summary>Disconnects a device by its name.</summary>
    /// <exception cref="BlockException">It cannot be opened.</exception>
    public static void Disconnect(string path)
    {
        using var device = Open(path) ?? throw new BlockException(BlockError.NotFound, $"Cannot open {path}: {LastError}");
        device.Disconnect();
    }

    /// <summary>Connects the device to a socket whose handshake is complete.</summary>
    /// <param name="socket">The socket; must stay open while the device runs.</param>
    /// <param name="size">Size of the export, in bytes; an incomplete last sector is left out.</param>
    /// <param name="flags">Transmission flags.</param>
    /// <returns>The reason for a failure, in QEMU's words; null on success.</returns>
    public string? Prepare(Socket socket, long size, int flags)
    {
        if (!OperatingSystem.IsLinux())
        {
            return "Failed to set NBD socket";
        }

        string? why = Control(SetSocket, (nuint)socket.Handle) ? null : "Failed to set NBD socket";
        why ??= Control(SetBlockSize, BlockSize) ? null : "Failed setting NBD block size";
        why ??= Control(SetBlocks, (nuint)(size / BlockSize)) ? null : "Failed setting size (in blocks)";

        // an old kernel does not support flags; the read-only attribute is set separately
        _ = why is null && Control(SetFlags, (nuint)flags);
        if (why is null && (flags & ReadOnlyFlag) != 0)
        {
            int yes = 1;
            why = Native.DeviceControl(_file, SetReadOnly, ref yes) >= 0 ? null : "Failed setting read-only attribute";
        }

        if (why is not null)
        {
            _ = Control(ClearSocket, 0);
        }

        return why;
    }

    /// <summary>Serves the device until it is disconnected. Blocks its thread.</summary>
    public void Run()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = Control(DoIt, 0);
            _ = Control(ClearQueue, 0);
            _ = Control(ClearSocket, 0);
        }
    }

    /// <summary>Ends <see cref="Run"/>, here or in another process.</summary>
    public void Disconnect()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        try
        {
            _ = Control(ClearQueue, 0);
            _ = Control(DisconnectDevice, 0);
            _ = Control(ClearSocket, 0);
        }
        catch (ObjectDisposedException)
        {
            // Run ended first: the device may have another user by now
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    [SupportedOSPlatform("linux")]
    private bool Control(nuint request, nuint argument) => Native.DeviceControl(_file, request, argument) >= 0;
}
