using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Paddock.Posix;
using Paddock.Testing.Protocols.VfioUser;

namespace Paddock.VfioUser.Tests;

/// <summary>The messages that QEMU 11 sends until its guest's driver takes over, byte by byte, and the replies.</summary>
public sealed class QemuSequenceTests : IAsyncLifetime
{
    private readonly DeviceMemory _memory = new(1 << 20);
    private Bench _bench = null!;
    private Socket _socket = null!;
    private ushort _id;

    public async ValueTask InitializeAsync()
    {
        _bench = await Bench.StartAsync();
        _socket = VfioClient.ConnectSocket(_bench.SocketPath);
    }

    [Fact]
    public void Start_is_answered_byte_by_byte()
    {
        Greet();

        // all memory, then the firmware, read-only and without descriptor
        Ask(2, "20000000 03000000 0000000000000000 0000000000000000 0000100000000000", "", _memory);
        Ask(2, "20000000 01000000 0000000000000000 0000FCFF00000000 0000040000000000", "");

        // device: reset and PCI, 9 regions, 5 interrupt types
        Ask(4, "10000000 00000000 00000000 00000000", "10000000 03000000 09000000 05000000");

        // BAR 0 of 16 KiB, five without size, configuration space
        Ask(5, Region(0), "20000000 03000000 00000000 00000000 0040000000000000 0000000000000000");
        for (int i = 1; i < 6; i++)
        {
            Ask(5, Region(i), $"20000000 00000000 0{i}000000 00000000 0000000000000000 0000000000000000");
        }

        Ask(5, Region(7), "20000000 03000000 07000000 00000000 0010000000000000 0000000000000000");

        // error interrupts: none; MSI-X: 17
        Ask(7, "10000000 00000000 03000000 00000000", "10000000 00000000 03000000 00000000");
        byte[] space = Ask(9, "0000000000000000 07000000 00100000", null);
        Assert.Equal(16 + 4096, space.Length);
        Assert.Equal("0000000000000000070000000010000" + "0F41AF010", Hex(space[..20]));

        // probe of the ROM, BAR 0, capability of MSI-X
        Ask(10, "3000000000000000 07000000 04000000 FFFFFFFF", "3000000000000000 07000000 04000000");
        Ask(9, "3000000000000000 07000000 04000000", "3000000000000000 07000000 04000000 00000000");
        Ask(9, "1000000000000000 07000000 04000000", "1000000000000000 07000000 04000000 04000000");
        Ask(9, "5200000000000000 07000000 02000000", "5200000000000000 07000000 02000000 1000");
        Ask(9, "5400000000000000 07000000 04000000", "5400000000000000 07000000 04000000 00200000");
        Ask(9, "5800000000000000 07000000 04000000", "5800000000000000 07000000 04000000 00300000");
        Ask(7, "10000000 00000000 02000000 00000000", "10000000 01000000 02000000 11000000");

        // reset of the machine: command register, power state, reset, zeros to the BARs
        Ask(10, "0400000000000000 07000000 02000000 0000", "0400000000000000 07000000 02000000");
        Ask(9, "4400000000000000 07000000 02000000", "4400000000000000 07000000 02000000 0800");
        Ask(13, "", "");
        for (int at = 0x10; at < 0x28; at += 4)
        {
            Ask(10, $"{at:X2}00000000000000 07000000 04000000 00000000", $"{at:X2}00000000000000 07000000 04000000");
        }
    }

    [Fact]
    public void Interrupts_are_set_and_removed_byte_by_byte()
    {
        Greet();
        using var signal = EventDescriptor.Create();
        Ask(8, "14000000 24000000 02000000 00000000 01000000", "");
        AskWith(8, "14000000 24000000 02000000 00000000 01000000", signal);
        AskWith(8, "14000000 24000000 02000000 10000000 01000000", signal);
        Ask(8, "14000000 21000000 02000000 00000000 00000000", "");
    }

    [Fact]
    public void Memory_is_unmapped_and_mapped_again_in_pieces()
    {
        Greet();
        Ask(2, "20000000 03000000 0000000000000000 0000000000000000 0000100000000000", "", _memory);
        Ask(3, "18000000 00000000 0000000000000000 0000100000000000", "18000000 00000000 0000000000000000 0000100000000000");
        Ask(2, "20000000 03000000 0000000000000000 0000000000000000 00000C0000000000", "", _memory);
        Ask(2, "20000000 01000000 00000C0000000000 00000C0000000000 0000040000000000", "", _memory);
        Ask(3, "18000000 02000000 0000000000000000 0000000000000000", "18000000 02000000 0000000000000000 0000000000000000");
    }

    [Fact]
    public void Posted_writes_get_no_reply()
    {
        Greet();
        Send(10, "1400000000000000 00000000 04000000 00004600", 0x10);
        Send(
            15,
            "0200000000000000 1400000000000000 00000000 04000000 0000460000000000 0010000000000000 00000000 04000000 0000000000000000",
            0x10);
        byte[] value = Ask(9, "1400000000000000 00000000 04000000", null);
        Assert.Equal(20, value.Length);
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _bench.DisposeAsync();
        _memory.Dispose();
    }

    private static string Region(int index) => $"20000000 00000000 0{index}000000 00000000 0000000000000000 0000000000000000";

    private void Greet()
    {
        string json = "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"max_dma_maps\":16384,\"pgsizes\":4096,"
            + "\"write_multiple\":true}}";
        Ask(1, VersionOf(PciDevice.QemuCapabilities), VersionOf(json));
    }

    private static string VersionOf(string json) => "00000000" + Hex(Encoding.UTF8.GetBytes(json)) + "00";

    private void AskWith(int command, string payload, EventDescriptor descriptor)
    {
        Send(command, payload, 0, descriptor.Handle);
        Assert.Equal("", Hex(Receive(command)));
    }

    private byte[] Ask(int command, string payload, string? reply, DeviceMemory? memory = null)
    {
        Send(command, payload, 0, memory is null ? [] : [memory.File]);
        byte[] found = Receive(command);
        if (reply is not null)
        {
            Assert.Equal(reply.Replace(" ", "", StringComparison.Ordinal), Hex(found));
        }

        return found;
    }

    private void Send(int command, string payload, uint flags, params Microsoft.Win32.SafeHandles.SafeFileHandle[] descriptors)
    {
        byte[] body = Bytes(payload), message = new byte[16 + body.Length];
        BitConverter.TryWriteBytes(message, ++_id);
        BitConverter.TryWriteBytes(message.AsSpan(2), (ushort)command);
        BitConverter.TryWriteBytes(message.AsSpan(4), message.Length);
        BitConverter.TryWriteBytes(message.AsSpan(8), flags);
        body.CopyTo(message, 16);
        DescriptorSocket.Send(_socket.SafeHandle, message, descriptors);
    }

    private byte[] Receive(int command)
    {
        byte[] head = Fill(16);
        int length = BitConverter.ToInt32(head, 4);
        string size = Hex(BitConverter.GetBytes(length));
        string expected = string.Create(
            CultureInfo.InvariantCulture, $"{_id & 0xFF:X2}{_id >> 8:X2}{command:X2}00{size}0100000000000000");
        Assert.Equal(expected, Hex(head));
        return Fill(length - 16);
    }

    private byte[] Fill(int length)
    {
        byte[] bytes = new byte[length];
        for (int done = 0; done < length;)
        {
            int count = _socket.Receive(bytes.AsSpan(done));
            Assert.NotEqual(0, count);
            done += count;
        }

        return bytes;
    }

    private static byte[] Bytes(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    private static string Hex(byte[] bytes) => Convert.ToHexString(bytes);
}
