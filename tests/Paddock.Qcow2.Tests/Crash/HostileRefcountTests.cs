using System.Buffers.Binary;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

public class HostileRefcountTests
{
    // found by Paddock.Sim: the new block lay on the header, its entry said "none", and the engine made it again for ever
    [Fact]
    public Task Write_without_a_first_refcount_block_fails_and_spares_the_header()
        => AssertRefusedAsync(storage => storage.Write(TableOffset(storage), new byte[8]));

    [Fact]
    public Task Write_fails_and_spares_a_header_that_is_counted_as_free()
        => AssertRefusedAsync(storage =>
        {
            Span<byte> block = stackalloc byte[8];
            storage.Read(TableOffset(storage), block);
            storage.Zero(BinaryPrimitives.ReadInt64BigEndian(block), 4096);
        });

    private static long TableOffset(PagedStorage storage)
    {
        Span<byte> bytes = stackalloc byte[8];
        storage.Read(48, bytes);
        return BinaryPrimitives.ReadInt64BigEndian(bytes);
    }

    private static async Task AssertRefusedAsync(Action<PagedStorage> damage)
    {
        var token = TestContext.Current.CancellationToken;
        var storage = new PagedStorage { MaxRequests = 10_000 };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = 4096 }, token);
        damage(storage);
        var header = storage.ToArray()[..72];
        var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), token);
        await Assert.ThrowsAsync<ImageCorruptException>(async () => await image.WriteAsync(0, new byte[512], cancellationToken: token));
        Assert.Equal(header, storage.ToArray()[..72]);
    }
}
