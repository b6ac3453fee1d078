using Paddock.Testing.Protocols.VfioUser;

namespace Paddock.VfioUser.Tests;

/// <summary>A driver uses the controller over vfio-user, as a guest does.</summary>
public sealed class DriverTests : IDisposable
{
    private readonly DeviceMemory _memory = new(8 << 20);

    [Theory]
    [InlineData(true, false, false)]
    [InlineData(true, true, false)]
    [InlineData(true, false, true)]
    [InlineData(false, false, false)]
    [InlineData(false, true, false)]
    public async Task Data_come_back(bool withFile, bool shadow, bool mapped)
    {
        await using var bench = await Bench.StartAsync(new VfioUserServerOptions { MappedDoorbells = mapped });
        using var driver = NvmeDriver.Start(bench.Connect(_memory), _memory, withFile);
        Assert.Equal(shadow, shadow && driver.ShareDoorbells());
        using var queue = driver.CreateQueue(1, 64);
        ulong from = driver.Reserve(128 << 10), to = driver.Reserve(128 << 10);
        new Random(1).NextBytes(_memory.Span(from, 128 << 10));
        foreach (int bytes in (int[])[512, 4096, 8192, 12288, 128 << 10])
        {
            Write(queue, 1, from, bytes, 256);
            _memory.Span(to, bytes).Clear();
            Read(queue, 1, to, bytes, 256);
            Assert.Equal(_memory.Span(from, bytes).ToArray(), _memory.Span(to, bytes).ToArray());
        }

        Assert.Equal(withFile, driver.Device.Client.DmaMessages == 0);
    }

    [Fact]
    public async Task Zones_can_be_appended_to()
    {
        await using var bench = await Bench.StartAsync();
        using var driver = NvmeDriver.Start(bench.Connect(), _memory);
        using var queue = driver.CreateQueue(1, 64);
        ulong data = driver.Reserve(4096);
        for (uint i = 0; i < 3; i++)
        {
            var done = queue.Run(NvmeDriver.Append, 2, data, 4096, 0, 0, 7);
            Assert.Equal((0, i * 8), (done.Code, (uint)done.Result));
        }
    }

    [Fact]
    public async Task Status_register_shows_the_interrupt_pin_even_if_it_is_disabled()
    {
        const uint statusAt = 6;
        const uint memoryMasterAndDisable = 0x406;
        await using var bench = await Bench.StartAsync(new VfioUserServerOptions { MsiX = false });
        using var memory = new DeviceMemory(8 << 20);
        using var driver = NvmeDriver.Start(bench.Connect(), memory, msix: false);
        driver.Device.Write(NvmeDriver.Configuration, 4, BitConverter.GetBytes((ushort)memoryMasterAndDisable));
        driver.Admin.Put(6, 0, driver.Buffer, DriverQueue.Page, 1);
        driver.Admin.Ring();
        Completed done;
        Assert.True(SpinWait.SpinUntil(() => driver.Admin.TryTake(out done), TimeSpan.FromSeconds(30)));
        Assert.True(SpinWait.SpinUntil(() => (Status() & 8) != 0, TimeSpan.FromSeconds(30)));
        driver.Admin.Release();
        Assert.True(SpinWait.SpinUntil(() => (Status() & 8) == 0, TimeSpan.FromSeconds(30)));

        byte Status() => driver.Device.Read(NvmeDriver.Configuration, statusAt, 1)[0];
    }

    [Fact]
    public async Task Two_controllers_share_their_namespaces()
    {
        await using var bench = await Bench.StartAsync();
        await using var second = new VfioUserServer(bench.Target, bench.Subsystem, new VfioUserServerOptions());
        string path = bench.SocketPath + "2";
        second.Listen(Posix.ServerSockets.Unix(path).Listener);
        using var others = new DeviceMemory(8 << 20);
        using var one = NvmeDriver.Start(bench.Connect(), _memory);
        using var two = NvmeDriver.Start(new VfioClient(VfioClient.ConnectSocket(path)), others);
        using var queue = one.CreateQueue(1, 16);
        using var other = two.CreateQueue(1, 16);
        ulong from = one.Reserve(4096), to = two.Reserve(4096);
        new Random(2).NextBytes(_memory.Span(from, 4096));
        Write(queue, 1, from, 4096, 8);
        Read(other, 1, to, 4096, 8);
        Assert.Equal(_memory.Span(from, 4096).ToArray(), others.Span(to, 4096).ToArray());
        Assert.NotEqual(IdOf(one), IdOf(two));
    }

    public void Dispose() => _memory.Dispose();

    private static int IdOf(NvmeDriver driver)
    {
        NvmeDriver.Check(driver.Identify(1), "identify");
        return BitConverter.ToUInt16(driver.Memory.Span(driver.Buffer + 78, 2));
    }

    private static void Write(DriverQueue queue, uint nsid, ulong from, int bytes, uint block)
        => NvmeDriver.Check(queue.Run(NvmeDriver.Write, nsid, from, bytes, block, 0, (uint)(bytes / 512) - 1), "write");

    private static void Read(DriverQueue queue, uint nsid, ulong to, int bytes, uint block)
        => NvmeDriver.Check(queue.Run(NvmeDriver.Read, nsid, to, bytes, block, 0, (uint)(bytes / 512) - 1), "read");
}
