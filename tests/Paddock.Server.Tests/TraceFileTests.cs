using System.Text.Json;
using Paddock.Images;
using Paddock.Server.Live;
using Paddock.Server.Tracing;

namespace Paddock.Server.Tests;

public class TraceFileTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Requests_of_a_server_are_events_of_a_trace()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("paddock-trace-").FullName, "trace.json");
        await using (var server = await TestServer.StartAsync(with: s => s with { TraceFile = file }))
        {
            await using var disk = await server.NvmeAsync();
            await disk.Zones!.AppendAsync(2 * TestServer.Zone, new byte[8192], cancellationToken: Token);
            await Assert.ThrowsAsync<Block.ZoneException>(async () => await disk.WriteAsync(512, new byte[512], cancellationToken: Token));
            await server.StopAsync();
        }

        var events = Read(file);
        Assert.Equal("disk", events[0].GetProperty("args").GetProperty("name").GetString());
        var append = Single(events, "zone append");
        Assert.Equal("X", append.GetProperty("ph").GetString());
        Assert.Equal(
            (2 * TestServer.Zone, 8192),
            (append.GetProperty("args").GetProperty("offset").GetInt32(), append.GetProperty("args").GetProperty("bytes").GetInt32()));
        Assert.True(append.GetProperty("dur").GetDouble() > 0);
        Assert.True(Single(events, "write").GetProperty("args").GetProperty("failed").GetBoolean());
        Assert.Equal(0, Single(events, "end of trace").GetProperty("args").GetProperty("dropped").GetInt32());
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public async Task Trace_stops_at_its_size_and_stays_valid()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("paddock-trace-").FullName, "trace.json");
        var log = new StringWriter();
        await using (var trace = TraceFile.Create(
            file, TraceFile.MinSize, ["disk"], new ServeLog(TextWriter.Synchronized(log), TimeProvider.System, json: false)))
        {
            var sink = trace.SinkOf(0);
            for (int i = 0; i < 10_000; i++)
            {
                sink.Add(new LiveRequest(LiveOperation.Read, i, 512, i), 5, failed: false);
            }
        }

        Assert.InRange(new FileInfo(file).Length, TraceFile.MinSize / 2, TraceFile.MinSize);
        var events = Read(file);
        Assert.True(events.Length < 10_000);
        Assert.Contains("trace full", log.ToString(), StringComparison.Ordinal);
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public async Task Full_file_system_is_logged_once()
    {
        var log = new StringWriter();
        await using (var trace = TraceFile.Create(
            "/dev/full", TraceFile.MinSize, ["disk"], new ServeLog(TextWriter.Synchronized(log), TimeProvider.System, json: false)))
        {
            trace.SinkOf(0).Add(new LiveRequest(LiveOperation.Read, 0, 512, 0), 5, failed: false);
        }

        Assert.Equal(1, log.ToString().Split("trace failed").Length - 1);
    }

    [Theory]
    [InlineData("--trace-file")]
    [InlineData("--log-file")]
    [InlineData("--pid-file")]
    public void Image_is_not_overwritten_by_a_text_file(string option)
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("paddock-trace-").FullName, "disk.qcow2");
        byte[] image = [.. "QFI"u8, 0xfb, 0, 0, 0, 3];
        File.WriteAllBytes(file, image);
        var log = new ServeLog(TextWriter.Null, TimeProvider.System, json: false);
        var error = Assert.Throws<ToolException>(() =>
        {
            _ = option switch
            {
                "--trace-file" => (object)TraceFile.Create(file, TraceFile.MinSize, ["disk"], log),
                "--log-file" => new LogFile(file),
                _ => Check(option, file),
            };
        });
        Assert.StartsWith($"{option} '{file}': the file exists and is not a text file", error.Message, StringComparison.Ordinal);
        Assert.Equal(image, File.ReadAllBytes(file));
        File.WriteAllText(file, "[\n");
        TextFileGuard.Check(option, file);
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    private static object? Check(string option, string file)
    {
        TextFileGuard.Check(option, file);
        return null;
    }

    [Fact]
    public void Full_ring_rejects_and_an_emptied_one_accepts_again()
    {
        var ring = new TraceRing(4);
        for (int turn = 0; turn < 3; turn++)
        {
            Assert.All(Enumerable.Range(0, 4), i => Assert.True(ring.TryAdd(Request(i))));
            Assert.False(ring.TryAdd(Request(4)));
            for (int i = 0; i < 4; i++)
            {
                Assert.True(ring.TryTake(out var taken));
                Assert.Equal(i, taken.Request.Offset);
            }

            Assert.False(ring.TryTake(out _));
        }
    }

    [Fact]
    public async Task Requests_of_many_threads_arrive_once_each()
    {
        const int Threads = 4, Each = 20_000;
        var ring = new TraceRing(256);
        var adding = Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(
            () =>
            {
                for (int i = 0; i < Each; i++)
                {
                    while (!ring.TryAdd(Request((thread * Each) + i)))
                    {
                        Thread.Yield();
                    }
                }
            },
            Token)));
        var seen = new bool[Threads * Each];
        for (int taken = 0; taken < seen.Length;)
        {
            if (ring.TryTake(out var request))
            {
                Assert.False(seen[request.Request.Offset]);
                seen[request.Request.Offset] = true;
                taken++;
            }
            else
            {
                await Task.Yield();
            }
        }

        await adding;
        Assert.DoesNotContain(false, seen);
    }

    [Fact]
    public void Overlapping_requests_have_different_lanes()
    {
        var lanes = new TraceLanes();
        Assert.Equal([0, 1, 0, 1], [lanes.Take(0, 0, 10), lanes.Take(0, 5, 12), lanes.Take(0, 10, 20), lanes.Take(0, 13, 21)]);
        Assert.Equal(0, lanes.Take(1, 0, 10));
    }

    [Fact]
    public void Too_small_a_size_is_rejected()
        => Assert.Contains(
            "trace-size '1k': the minimum is 64k",
            Assert.Throws<ToolException>(() => TraceFile.SizeOf(new ServeSettings { TraceSize = "1k" })).Message, StringComparison.Ordinal);

    private static TracedRequest Request(long offset) => new(0, new LiveRequest(LiveOperation.Read, offset, 512, 0), 1, false);

    private static JsonElement[] Read(string file) => [.. JsonDocument.Parse(File.ReadAllText(file)).RootElement.EnumerateArray()];

    private static JsonElement Single(JsonElement[] events, string name)
        => events.Single(e => e.GetProperty("name").GetString() == name);
}
