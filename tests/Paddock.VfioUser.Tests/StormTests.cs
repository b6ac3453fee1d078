using Paddock.Block;
using Paddock.Faults;
using Paddock.Testing;
using Paddock.Testing.Protocols.VfioUser;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>Memory that comes and goes, resets, and clients that end, while commands are in flight and the disk hangs.</summary>
public sealed class StormTests : IDisposable
{
    private const int Block = 4096;

    private readonly DeviceMemory _memory = new(8 << 20);
    private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // every answer comes within the client's limit, or Ask throws
    [Fact]
    public async Task Everything_is_answered_while_the_disk_hangs()
    {
        await using var bench = await Bench.StartAsync();
        HoldReads(bench.Disk);
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        using var queue = driver.CreateQueue(1, 64);
        PutReads(driver, queue, 32);
        Assert.True(SpinWait.SpinUntil(() => bench.Disk.Count(DeviceCall.Read) > 0, TimeSpan.FromSeconds(30)));
        var device = driver.Device;
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(0, device.Unmap(0, _memory.Length));
            MapPieces(device);
            Assert.NotEqual(0u, device.Read32(NvmeDriver.Bar, 0x1C) & 1);
            Assert.Equal(0, device.Unmap(0, 0, UnmapFlags.All));
            Assert.Equal(0, device.Map(_memory));
        }

        Assert.Equal(0, device.Reset());
        Assert.Equal(0u, device.Read32(NvmeDriver.Bar, 0x1C));
        _release.SetResult();
    }

    [Fact]
    public async Task Commands_survive_the_replacement_of_memory()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        Assert.True(driver.ShareDoorbells());
        using var queue = driver.CreateQueue(1, 64);
        using var stop = new CancellationTokenSource();
        var device = driver.Device;
        ulong data = driver.Reserve(Block);
        long done = 0;
        var load = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                NvmeDriver.Check(queue.Run(NvmeDriver.Read, 1, data, Block, 0, 0, 7), "read");
                Interlocked.Increment(ref done);
            }
        });
        for (int i = 0; i < 60; i++)
        {
            Assert.Equal(0, device.Unmap(0, 0, UnmapFlags.All));
            if (i % 2 == 0)
            {
                Assert.Equal(0, device.Map(_memory));
            }
            else
            {
                MapPieces(device);
            }
        }

        long before = Interlocked.Read(ref done);
        Assert.True(SpinWait.SpinUntil(() => Interlocked.Read(ref done) > before + 10, TimeSpan.FromSeconds(30)));
        await stop.CancelAsync();
        await load;
        Assert.Equal(1u, device.Read32(NvmeDriver.Bar, 0x1C));
    }

    [Fact]
    public async Task Reset_under_load_leaves_a_working_controller()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        for (int i = 0; i < 8; i++)
        {
            var queue = driver.CreateQueue(1, 64);
            PutReads(driver, queue, 32);
            if (i % 2 == 0)
            {
                Assert.Equal(0, driver.Device.Reset());
            }
            else
            {
                // function-level reset
                Assert.Equal(0, driver.Device.Write(NvmeDriver.Configuration, 0x68, 0x10, 0xA8));
            }

            queue.Dispose();
            driver.Restart();
        }

        Assert.Equal(8, bench.Server.Counts.Resets);
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    [Fact]
    public async Task Client_killed_with_commands_in_flight_makes_room_for_the_next()
    {
        await using var bench = await Bench.StartAsync();
        HoldReads(bench.Disk);
        var first = NvmeDriver.Start(bench.Connect(), _memory);
        var queue = first.CreateQueue(1, 64);
        PutReads(first, queue, 32);
        Assert.True(SpinWait.SpinUntil(() => bench.Disk.Count(DeviceCall.Read) > 0, TimeSpan.FromSeconds(30)));
        first.Dispose();
        queue.Dispose();
        using var others = new DeviceMemory(8 << 20);
        var device = new PciDevice(bench.Connect());
        device.Greet();
        Assert.Equal(0, device.Map(others));
        Assert.Equal(0u, device.Read32(NvmeDriver.Bar, NvmeDriver.Csts));
        _release.SetResult();
        using var second = new NvmeDriver(device, others);
        second.EnableController();
        NvmeDriver.Check(second.Identify(1), "identify");
    }

    [Fact]
    public async Task Controller_is_not_ready_before_the_writes_of_its_predecessor_have_ended()
    {
        await using var bench = await Bench.StartAsync();
        Hold(bench.Disk, DeviceCall.Write);
        var first = NvmeDriver.Start(bench.Connect(), _memory);
        var queue = first.CreateQueue(1, 64);
        ulong data = first.Reserve(Block);
        _memory.Span(data, Block).Fill(1);
        queue.Put(NvmeDriver.Write, 1, data, Block, 0, 0, 7);
        queue.Ring();
        Assert.True(SpinWait.SpinUntil(() => bench.Disk.Count(DeviceCall.Write) > 0, TimeSpan.FromSeconds(30)));
        first.Dispose();
        queue.Dispose();
        using var others = new DeviceMemory(8 << 20);
        var device = new PciDevice(bench.Connect());
        device.Greet();
        Assert.Equal(0, device.Map(others));
        using var second = new NvmeDriver(device, others);
        var start = Task.Run(() => second.EnableController(), TestContext.Current.CancellationToken);
        Assert.True(SpinWait.SpinUntil(() => (device.Read32(NvmeDriver.Bar, NvmeDriver.Cc) & 1) == 1, TimeSpan.FromSeconds(30)));
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0u, device.Read32(NvmeDriver.Bar, NvmeDriver.Csts));
        }

        _release.SetResult();
        await start;
        using var next = second.CreateQueue(1, 64);
        ulong page = second.Reserve(Block);
        others.Span(page, Block).Fill(2);
        NvmeDriver.Check(next.Run(NvmeDriver.Write, 1, page, Block, 0, 0, 7), "write");
        byte[] stored = new byte[Block];
        await bench.Disk.ReadAsync(0, stored, TestContext.Current.CancellationToken);
        Assert.Equal(-1, stored.AsSpan().IndexOfAnyExcept((byte)2));
    }

    // a DMA_WRITE in flight is given up, and the completion, which would follow it, is never sent
    [Fact]
    public async Task No_DMA_message_is_sent_after_the_reply_to_a_reset()
    {
        await using var bench = await Bench.StartAsync();
        var held = new List<MessageHeader>();
        bool holds = false;
        var client = new VfioClient(VfioClient.ConnectSocket(bench.SocketPath))
        {
            Memory = _memory,
            Answers = header =>
            {
                bool isHeld = Volatile.Read(ref holds) && header.Command == Command.DmaWrite;
                if (isHeld)
                {
                    held.Add(header);
                }

                return !isHeld;
            },
        };
        using var driver = NvmeDriver.Start(client, _memory, withFile: false);
        Volatile.Write(ref holds, true);
        driver.Admin.Put(6, 0, driver.Buffer, Block, 1);
        driver.Admin.Ring();
        long before = client.DmaMessages;
        Assert.True(SpinWait.SpinUntil(() => held.Count == 1, TimeSpan.FromSeconds(30)));
        driver.Device.Write32(NvmeDriver.Bar, NvmeDriver.Cc, 0);
        Assert.Equal(0u, driver.Device.Read32(NvmeDriver.Bar, NvmeDriver.Csts));
        long sent = client.DmaMessages;
        Assert.True(sent > before);
        byte[] late = new byte[MessageHeader.Size + DmaAccess.Size];
        new MessageHeader(held[0].Id, Command.DmaWrite, (uint)late.Length, HeaderFlags.Reply).WriteTo(late);
        client.SendRaw(late);
        Volatile.Write(ref holds, false);

        // ready only after the end of the previous worker
        driver.Restart();
        Assert.Equal(sent, client.DmaMessages);
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    [Fact]
    public async Task Injected_fault_is_a_status_of_the_command()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        using var queue = driver.CreateQueue(1, 16);
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Count = 1 });
        ulong data = driver.Reserve(Block);
        Assert.NotEqual(0, queue.Run(NvmeDriver.Write, 1, data, Block, 0, 0, 7).Status);
        Assert.Equal(0, queue.Run(NvmeDriver.Write, 1, data, Block, 0, 0, 7).Status);
    }

    [Fact]
    public async Task Power_cut_fails_the_controller_until_power_and_reset()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        using (var queue = driver.CreateQueue(1, 16))
        {
            ushort request = driver.Admin.Put(0x0C, 0);
            NvmeDriver.Check(driver.Identify(1), "identify");
            bench.Server.SetPower(on: false);
            var told = driver.Admin.Take();
            Assert.Equal((request, 0, 0x10300u), (told.Id, told.Status, (uint)told.Result));
            Assert.Equal(3u, driver.Device.Read32(NvmeDriver.Bar, 0x1C));
            await bench.Server.QuietAsync(TimeSpan.FromSeconds(30));
        }

        driver.Device.Write32(NvmeDriver.Bar, NvmeDriver.Cc, 0);
        var restart = Task.Run(() => driver.Restart(), TestContext.Current.CancellationToken);
        Assert.NotEqual(restart, await Task.WhenAny(restart, Task.Delay(50, TestContext.Current.CancellationToken)));
        bench.Server.SetPower(on: true);
        await restart.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        NvmeDriver.Check(driver.Identify(1), "identify");
        Assert.False(driver.Device.Client.HasEnded);
    }

    [Fact]
    public async Task Client_that_answers_no_DMA_stops_nobody_else()
    {
        await using var bench = await Bench.StartAsync();
        var client = new VfioClient(VfioClient.ConnectSocket(bench.SocketPath)) { Memory = _memory, Answers = _ => false };
        var device = new PciDevice(client);
        device.Greet();
        Assert.Equal(0, device.Map(_memory, withFile: false));
        device.Write(NvmeDriver.Configuration, 4, 6, 0);
        device.Write32(NvmeDriver.Bar, NvmeDriver.Aqa, 0x1F001F);
        device.Write32(NvmeDriver.Bar, NvmeDriver.Cc, 0x460001);
        Assert.True(SpinWait.SpinUntil(() => device.Read32(NvmeDriver.Bar, 0x1C) == 1, TimeSpan.FromSeconds(30)));
        device.Write32(NvmeDriver.Bar, NvmeDriver.DoorbellsAt, 1);
        Assert.True(SpinWait.SpinUntil(() => client.DmaMessages > 0, TimeSpan.FromSeconds(30)));
        Assert.Equal(0, device.Reset());
        Assert.Equal(0, device.Unmap(0, 0, UnmapFlags.All));
        client.Dispose();
        using var next = NvmeDriver.Start(bench.Connect(), _memory);
        NvmeDriver.Check(next.Identify(1), "identify");
    }

    // a copy by this process itself would raise SIGBUS
    [Fact]
    public async Task Truncated_memory_fails_the_commands_that_use_it()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        using var queue = driver.CreateQueue(1, 16);
        string path = Path.GetTempFileName();
        using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
        {
            const ulong at = 1ul << 32;
            RandomAccess.SetLength(file, 1 << 20);
            RandomAccess.Write(file, new byte[] { 1, 2, 3, 4 }, 0);
            Assert.Equal(0, driver.Device.Map(new DmaMap(DmaFlags.Readable | DmaFlags.Writable, 0, at, 1 << 20), file));
            NvmeDriver.Check(queue.Run(NvmeDriver.Write, 1, at, Block, 0, 0, 7), "write");
            NvmeDriver.Check(queue.Run(NvmeDriver.Read, 1, at + Block, Block, 0, 0, 7), "read");
            byte[] stored = new byte[4];
            RandomAccess.Read(file, stored, Block);
            Assert.Equal(new byte[] { 1, 2, 3, 4 }, stored);
            Assert.Equal(0, driver.Device.Client.DmaMessages);
            RandomAccess.SetLength(file, 0);
            const int dataTransferError = 4;
            Assert.Equal(dataTransferError, queue.Run(NvmeDriver.Write, 1, at, Block, 0, 0, 7).Code);
            Assert.Equal(dataTransferError, queue.Run(NvmeDriver.Read, 1, at, Block, 0, 0, 7).Code);
        }

        File.Delete(path);
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    public void Dispose()
    {
        _release.TrySetResult();
        _memory.Dispose();
    }

    private void HoldReads(TestDevice disk) => Hold(disk, DeviceCall.Read);

    private void Hold(TestDevice disk, DeviceCall call) => disk.Around = async (request, forward) =>
    {
        if (request.Call == call)
        {
            await _release.Task;
        }

        await forward();
    };

    private static void PutReads(NvmeDriver driver, DriverQueue queue, int count)
    {
        ulong data = driver.Reserve(Block);
        for (int i = 0; i < count; i++)
        {
            queue.Put(NvmeDriver.Read, 1, data, Block, (uint)i * 8, 0, 7);
        }

        queue.Ring();
    }

    // as the firmware does for shadow RAM
    private void MapPieces(PciDevice device)
    {
        const DmaFlags both = DmaFlags.Readable | DmaFlags.Writable;
        Assert.Equal(0, device.Map(new DmaMap(both, 0, 0, 0xC0000), _memory.File));
        Assert.Equal(0, device.Map(new DmaMap(both, 0xC0000, 0xC0000, 0x40000), _memory.File));
        Assert.Equal(0, device.Map(new DmaMap(both, 0x100000, 0x100000, _memory.Length - 0x100000), _memory.File));
    }
}
