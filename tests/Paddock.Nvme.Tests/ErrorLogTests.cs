using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>The error log lists failed commands, the newest first.</summary>
public class ErrorLogTests
{
    [Fact]
    public async Task Rejected_write_is_logged_with_queue_status_and_blocks()
    {
        await using var bench = await Bench.StartAsync();
        Assert.Equal(0UL, Number(await bench.Host.ReadLogAsync(0x01, 0xFFFFFFFF, 64)));
        await Assert.ThrowsAsync<ZoneException>(() => bench.Zoned.WriteAsync(4096, new byte[4096]).AsTask());
        byte[] log = await bench.Host.ReadLogAsync(0x01, 0xFFFFFFFF, 128);
        Assert.Equal(1UL, Number(log));
        Assert.NotEqual(0, BinaryPrimitives.ReadUInt16LittleEndian(log.AsSpan(8)));
        Assert.Equal(0x8000 | ((int)NvmeStatus.ZoneInvalidWrite << 1), BinaryPrimitives.ReadUInt16LittleEndian(log.AsSpan(12)));
        Assert.Equal(8UL, BinaryPrimitives.ReadUInt64LittleEndian(log.AsSpan(16)));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(log.AsSpan(24)));
        Assert.Equal(Opcode.Write, log[31]);
        Assert.Equal(0UL, Number(log.AsSpan(64)));
        byte[] health = await bench.Host.ReadLogAsync(0x02, 0xFFFFFFFF, 512);
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(health.AsSpan(176)));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(64, 64)]
    [InlineData(1000, 64)]
    public void Newest_entries_are_first_and_the_oldest_are_dropped(int failures, int kept)
    {
        var log = new ErrorLog(NvmeTransport.Tcp);
        for (ushort i = 1; i <= failures; i++)
        {
            log.Add(3, new SubmissionEntry { Opcode = Opcode.Read, CommandId = i }, new CompletionEntry(0, 0, i, NvmeStatus.LbaOutOfRange));
        }

        byte[] page = log.ToPage();
        Assert.Equal(ErrorLog.Capacity * ErrorLog.EntrySize, page.Length);
        for (int i = 0; i < ErrorLog.Capacity; i++)
        {
            var entry = page.AsSpan(i * ErrorLog.EntrySize, ErrorLog.EntrySize);
            Assert.Equal(i < kept ? (ulong)(failures - i) : 0, Number(entry));
            Assert.Equal(i < kept ? failures - i : 0, BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]));
        }
    }

    private static ulong Number(ReadOnlySpan<byte> entry) => BinaryPrimitives.ReadUInt64LittleEndian(entry);
}
