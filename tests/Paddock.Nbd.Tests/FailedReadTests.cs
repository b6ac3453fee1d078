using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Buffer contents never reach the client of a failed read.</summary>
public class FailedReadTests
{
    private const byte Secret = 0xA5, Data = 0x11;
    private const int Good = 256 << 10, Size = 1 << 20;

    public static TheoryData<int, bool> Ways => new()
    {
        { (int)HeaderForm.Simple, false }, { (int)HeaderForm.Simple, true }, { (int)HeaderForm.Structured, false },
            { (int)HeaderForm.Structured, true },
        { (int)HeaderForm.Extended, false }, { (int)HeaderForm.Extended, true },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Failed_read_sends_its_error_and_no_buffer_contents(int form, bool later)
    {
        var pool = new SlabPool(256 << 20);
        await using var bench = Bench.Of(Half(later), new NbdServerOptions { Buffers = pool });
        foreach (int offset in new[] { 0, Good - 4096, Good })
        {
            foreach (int length in new[] { 512, 8192, 64 << 10, 128 << 10, 512 << 10 })
            {
                foreach (var flags in new[] { default, CommandFlags.DontFragment })
                {
                    byte[] came = Read(bench, pool, (HeaderForm)form, offset, length, form == (int)HeaderForm.Simple ? default : flags);
                    int at = came.AsSpan().IndexOf(Enumerable.Repeat(Secret, 8).ToArray());
                    Assert.True(at < 0,
                        $"{(HeaderForm)form}, {length} bytes at {offset}, {flags}: byte {at} of {came.Length} is another client's");
                    Assert.InRange(came.Length, 16, length + 4096);
                }
            }
        }
    }

    private static byte[] Read(Bench bench, SlabPool pool, HeaderForm form, int offset, int length, CommandFlags flags)
    {
        using var client = bench.Connect();
        client.Handshake(form);
        Poison(pool);
        foreach (var (
            command, at, count, with) in new[] { (NbdCommand.Read, offset, length, flags), (NbdCommand.Disconnect, 0, 0, default) })
        {
            if (form == HeaderForm.Extended)
            {
                byte[] request = new byte[ExtendedRequest.Size];
                ExtendedRequest.Write(request, new NbdRequest(with, command, 7, (ulong)at, (ulong)count));
                client.Send(request);
            }
            else
            {
                client.Ask(command, 7, (ulong)at, (uint)count, with);
            }
        }

        var came = new MemoryStream();
        byte[] some = new byte[64 << 10];
        for (int got = client.Socket.Receive(some); got > 0; got = client.Socket.Receive(some))
        {
            came.Write(some, 0, got);
        }

        return came.ToArray();
    }

    private static void Poison(SlabPool pool)
    {
        var slabs = new[] { 8, 16, 32, 64, 128, 256, 256, 512, 1024 }.Select(size => pool.Rent(size << 10)).ToArray();
        foreach (var slab in slabs)
        {
            slab.Bytes.AsSpan().Fill(Secret);
            slab.Release();
        }
    }

    // succeeds before the limit; a read across it fills a part of the buffer and fails
    private static TestDevice Half(bool later) => new(Size, readOnly: true)
    {
        Reads = async (offset, buffer) =>
        {
            if (later)
            {
                await Task.Yield();
            }

            bool fails = offset + buffer.Length > Good;
            buffer.Span[..(fails ? buffer.Length / 2 : buffer.Length)].Fill(Data);
            if (fails)
            {
                throw new BlockException(BlockError.Io, "the medium is broken here");
            }
        },
    };
}
