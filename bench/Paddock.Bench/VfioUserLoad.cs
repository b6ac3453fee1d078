using System.Diagnostics;
using System.Globalization;
using Paddock.Posix;
using Paddock.Serving;
using Paddock.Testing.Protocols.VfioUser;

namespace Paddock.Bench;

/// <summary>
/// A load on a vfio-user server: a driver with one I/O queue, shadow doorbells and interrupts, as Linux uses them, without a guest.
/// </summary>
internal sealed class VfioUserLoad : IDisposable
{
    // the size of Linux's queues: a driver with shadow doorbells writes a doorbell each time that a queue wraps
    private const int BlockBytes = 512, QueueEntries = 1024, SettleMilliseconds = 1000, SpinsBetweenLooks = 10;

    private readonly DeviceMemory _memory = new(256 << 20);
    private readonly NvmeDriver _driver;
    private readonly DriverQueue _queue;
    private readonly VfioUserArguments _arguments;
    private readonly ulong _data;
    private readonly long[] _started;
    private readonly List<long> _took = new(1 << 20);
    private readonly Random _random = new(1);
    private readonly long _bytes;
    private PollPace _pace = new(Stopwatch.Frequency / 20_000);
    private long _next;

    private VfioUserLoad(VfioUserArguments arguments)
    {
        _arguments = arguments;
        _driver = NvmeDriver.Start(new VfioClient(VfioClient.ConnectSocket(arguments.Socket)), _memory);
        if (!arguments.IsTrapped && !_driver.HasMappedDoorbells)
        {
            _driver.ShareDoorbells();
        }

        _queue = _driver.CreateQueue(1, Math.Max(QueueEntries, arguments.Depth + 1));
        _data = _driver.Reserve(arguments.Size * arguments.Depth);
        _started = new long[_queue.Entries];
        NvmeDriver.Check(_driver.Identify(0, arguments.Namespace), "identify");
        _bytes = BitConverter.ToInt64(_memory.Span(_driver.Buffer, 8)) * BlockBytes;
    }

    private bool IsZoned => _arguments.ZoneBytes > 0;

    /// <summary>Runs a load and prints one line.</summary>
    public static void Run(VfioUserArguments arguments)
    {
        // as `paddock bench` does: on a busy machine, others must not keep a thread waiting that wakes often and for little
        SocketThreads.Prepare();
        using var load = new VfioUserLoad(arguments);
        if (load.IsZoned && arguments.Load != "randread")
        {
            NvmeDriver.Check(load._queue.Run(NvmeDriver.ManagementSend, arguments.Namespace, cdw13: 0x104), "reset of all zones");
        }

        load.RunFor(TimeSpan.FromMilliseconds(SettleMilliseconds));
        load._took.Clear();
        long doorbells = load._driver.Doorbells;
        var took = load.RunFor(TimeSpan.FromSeconds(arguments.Seconds));
        load.Print(took, load._driver.Doorbells - doorbells);
    }

    public void Dispose()
    {
        _queue.Dispose();
        _driver.Dispose();
        _memory.Dispose();
    }

    private TimeSpan RunFor(TimeSpan duration)
    {
        long start = Stopwatch.GetTimestamp(), end = start + (long)(duration.TotalSeconds * Stopwatch.Frequency), now = start;
        while (true)
        {
            bool put = false;
            for (; now < end && _queue.InFlight < _arguments.Depth; put = true)
            {
                Put(now);
            }

            if (put)
            {
                _queue.Ring();
            }

            if (TakeAll())
            {
                _pace.Worked();
            }
            else if (_queue.InFlight == 0)
            {
                return Stopwatch.GetElapsedTime(start);
            }
            else
            {
                Wait();
            }

            now = Stopwatch.GetTimestamp();
        }
    }

    // as the server does: a short wait is polled, a long one is slept through
    private void Wait()
    {
        if (_arguments.Polls && _pace.KeepsPolling(Stopwatch.GetTimestamp()))
        {
            Thread.SpinWait(SpinsBetweenLooks);
            return;
        }

        _queue.WaitForInterrupt(1000);
        _pace.Woke(Stopwatch.GetTimestamp());
    }

    private bool TakeAll()
    {
        bool taken = false;
        long now = 0;
        while (_queue.TryTake(out var done))
        {
            NvmeDriver.Check(done, _arguments.Load);
            now = now == 0 ? Stopwatch.GetTimestamp() : now;
            _took.Add(now - _started[done.Id]);
            taken = true;
        }

        if (taken)
        {
            _queue.Release();
        }

        return taken;
    }

    private void Put(long now)
    {
        long units = _bytes / _arguments.Size;
        long place = _arguments.Load is "randread" or "randwrite" ? _random.NextInt64(units) * _arguments.Size : _next;
        _next = (_next + _arguments.Size) % (units * _arguments.Size);
        ulong at = _data + ((ulong)(_took.Count % _arguments.Depth) * (ulong)_arguments.Size);
        byte opcode = NvmeDriver.Write;
        if (_arguments.Load == "randread")
        {
            opcode = NvmeDriver.Read;
        }
        else if (_arguments.Load == "append")
        {
            opcode = NvmeDriver.Append;
            place -= place % _arguments.ZoneBytes;
        }

        long block = place / BlockBytes;
        ushort id = _queue.Put(
            opcode, _arguments.Namespace, at, _arguments.Size, (uint)block, (uint)(block >> 32), (uint)(_arguments.Size / BlockBytes) - 1);
        _started[id] = now;
    }

    private void Print(TimeSpan took, long doorbells)
    {
        _took.Sort();
        double us = 1e6 / Stopwatch.Frequency;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{_took.Count / took.TotalSeconds:F0} {_took[_took.Count / 2] * us:F0} {_took[(int)(_took.Count * 0.999)] * us:F0} "
            + $"{(double)doorbells / _took.Count:F3} {_took.Count}"));
    }
}

/// <summary>A load on a vfio-user server.</summary>
/// <param name="Socket">The server's socket.</param>
/// <param name="Load"><c>randread</c>, <c>randwrite</c>, <c>write</c> or <c>append</c>.</param>
/// <param name="Size">Bytes of a command.</param>
/// <param name="Depth">Commands in flight.</param>
/// <param name="Seconds">Duration.</param>
/// <param name="Namespace">Identifier of the namespace.</param>
/// <param name="ZoneBytes">Bytes of a zone; 0: it has none.</param>
/// <param name="IsTrapped">Whether each doorbell is a message, without shadow doorbells.</param>
/// <param name="Polls">Whether completions are polled for a moment before the client sleeps.</param>
internal sealed record VfioUserArguments(
    string Socket, string Load, int Size, int Depth, int Seconds, uint Namespace, long ZoneBytes, bool IsTrapped, bool Polls);
