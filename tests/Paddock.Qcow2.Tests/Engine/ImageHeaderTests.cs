using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Changes of the header, in memory and on the storage, and what a failed one leaves.</summary>
public class ImageHeaderTests
{
    [Fact]
    public async Task Durable_change_is_flushed_before_memory_follows()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields with { VirtualSize = 1 << 20 });
        Assert.Equal("flush", kit.Storage.Log[^1]);
        Assert.Equal(1 << 20, kit.Header.VirtualSize);
        Assert.Equal(1UL << 20, (await StoredAsync(kit)).VirtualSize);
    }

    [Fact]
    public async Task Change_whose_flush_fails_is_undone_in_memory_and_on_the_storage()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields);
        kit.Storage.FailNextFlush = true;
        await Assert.ThrowsAsync<BlockException>(async () => await kit.Header.PutAsync(kit.Fields with { VirtualSize = 1 << 20 }));
        Assert.Equal(kit.Fields.VirtualSize, (ulong)kit.Header.VirtualSize);
        Assert.Equal(kit.Fields.VirtualSize, (await StoredAsync(kit)).VirtualSize);
        Assert.False(kit.InPlace.IsDue);
    }

    [Fact]
    public async Task Extension_is_added_after_the_others_and_then_changed_in_place()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields);
        await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.BackingFormat, [.. "qcow2"u8]));
        await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, [1, 2, 3, 4]));
        await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, [5, 6, 7, 8]));
        Assert.Equal("qcow2", kit.Header.BackingFormat);
        var loaded = await ReadExtensionsAsync(kit);
        Assert.Equal([HeaderExtension.BackingFormat, HeaderExtension.Paddock], loaded.Select(static e => e.Type));
        Assert.Equal([5, 6, 7, 8], loaded[1].Data);
    }

    [Fact]
    public async Task Extension_for_which_the_first_cluster_has_no_room_is_refused()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields);
        var e = await Assert.ThrowsAsync<BlockException>(
            async () => await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, new byte[400])));
        Assert.Equal(BlockError.NoSpace, e.Error);
        Assert.Empty(kit.Header.Extensions);
    }

    [Fact]
    public async Task Fields_and_extension_change_in_one_write()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Header.PutAsync(kit.Fields);
        await kit.Header.PutAsync(new HeaderExtension(HeaderExtension.Paddock, [1, 2, 3, 4]));
        kit.Storage.Restart();
        await kit.Header.PutAsync(
            kit.Header.Fields with { VirtualSize = 1 << 20 }, new HeaderExtension(HeaderExtension.Paddock, [5, 6, 7, 8]));
        Assert.Equal(["write 0+512", "flush"], kit.Storage.Log);
        Assert.Equal(1UL << 20, (await StoredAsync(kit)).VirtualSize);
        Assert.Equal([5, 6, 7, 8], Assert.Single(await ReadExtensionsAsync(kit)).Data);
    }

    [Fact]
    public async Task In_place_write_that_cannot_be_undone_is_undone_by_the_next_flush()
    {
        var kit = await EngineKit.CreateAsync();
        await kit.Storage.WriteAsync(8192, new byte[] { 1 });
        kit.Storage.FailNextFlush = true;
        var failing = new InPlaceWrites(new FailsAfterFlush(kit.Storage));
        await Assert.ThrowsAsync<BlockException>(async () => await failing.WriteAsync(new HostOffset(8192), new byte[] { 2 }));
        Assert.True(failing.IsDue);
        var bytes = new byte[1];
        await kit.Storage.ReadAsync(8192, bytes);
        Assert.Equal(2, bytes[0]);
        await failing.WriteAsync();
        await kit.Storage.ReadAsync(8192, bytes);
        Assert.Equal(1, bytes[0]);
        Assert.False(failing.IsDue);
    }

    private static async Task<Qcow2Header> StoredAsync(EngineKit kit)
    {
        var bytes = new byte[512];
        await kit.Storage.ReadAsync(0, bytes);
        return Qcow2Header.Parse(bytes);
    }

    private static async Task<List<HeaderExtension>> ReadExtensionsAsync(EngineKit kit)
    {
        var bytes = new byte[512];
        await kit.Storage.ReadAsync(0, bytes);
        return HeaderExtension.ParseAll(bytes.AsSpan((int)kit.Fields.HeaderLength));
    }

    // the first write works, the one after a failed flush does not
    private sealed class FailsAfterFlush(IStorage storage) : DelegatingStorage(storage, owns: false)
    {
        private bool _flushFailed;

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        {
            if (_flushFailed)
            {
                _flushFailed = false;
                throw new BlockException(BlockError.Io, "write fails");
            }

            return base.WriteAsync(offset, data, cancellationToken);
        }

        public override async ValueTask FlushAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                await base.FlushAsync(cancellationToken);
            }
            catch (BlockException)
            {
                _flushFailed = true;
                throw;
            }
        }
    }
}
