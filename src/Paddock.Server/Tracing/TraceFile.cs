using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Live;

namespace Paddock.Server.Tracing;

/// <summary>
/// A trace of the requests to all disks, in the JSON trace event format (an array of events), which ui.perfetto.dev and Chromium open.
/// Requests are queued in memory as they end and written by a task of its own; the file has a maximum size.
/// </summary>
internal sealed class TraceFile : IAsyncDisposable
{
    /// <summary>Least maximum size, in bytes.</summary>
    public const long MinSize = 64 << 10;

    private const int Slots = 1 << 15, Batch = 4096;

    // room for what ends the trace
    private const int Reserve = 1024;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly TraceRing _ring = new(Slots);
    private readonly TraceLanes _lanes = new();
    private readonly Stream _file;
    private readonly ServeLog _log;
    private readonly string _path;
    private readonly long _limit, _started = Stopwatch.GetTimestamp();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _writing;
    private long _written, _dropped;
    private volatile bool _isFull;
    private bool _hasFailed;

    private TraceFile(string path, Stream file, long limit, IReadOnlyList<string> disks, ServeLog log)
    {
        _path = path;
        _file = file;
        _limit = limit;
        _log = log;
        Write(Header(disks));
        _writing = Task.Run(RunAsync);
    }

    /// <summary>Requests that are missing in the trace, since the queue or the file was full.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>Creates a trace; an existing file is replaced.</summary>
    /// <exception cref="ToolException">Cannot create the file.</exception>
    public static TraceFile Create(string path, long limit, IReadOnlyList<string> disks, ServeLog log)
    {
        TextFileGuard.Check("--trace-file", path);
        try
        {
            var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, 1 << 16);
            return new TraceFile(path, file, limit, disks, log);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"--trace-file {path}: cannot create the file: {FileErrorText.Of(e, path)}");
        }
    }

    /// <summary>The maximum size of a trace, in bytes.</summary>
    /// <exception cref="ToolException">Not a size, or too small.</exception>
    public static long SizeOf(ServeSettings settings)
        => SizeText.Parse("trace-size", settings.TraceSize) is >= MinSize and var size ? size
            : throw new ToolException($"trace-size '{settings.TraceSize}': the minimum is {MinSize >> 10}k", NativeExit.Usage);

    /// <summary>The part of the trace that a disk writes.</summary>
    /// <param name="disk">Index of the disk.</param>
    public ITraceSink SinkOf(int disk) => new Sink(this, disk);

    /// <summary>Writes what is queued and completes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _writing;
        _stop.Dispose();
    }

    private static string Header(IReadOnlyList<string> disks)
    {
        var text = new StringBuilder("[\n");
        foreach (var (i, disk) in disks.Index())
        {
            text.Append(CultureInfo.InvariantCulture, $"{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{i + 1},\"args\":{{\"name\":\"");
            text.Append(JsonEncodedText.Encode(disk)).Append("\"}},\n");
        }

        return text.ToString();
    }

    private async Task RunAsync()
    {
        try
        {
            using var timer = new PeriodicTimer(Pause);
            while (!_stop.IsCancellationRequested)
            {
                Drain();
                await _file.FlushAsync(CancellationToken.None);
                await timer.WaitForNextTickAsync(_stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // the server stops
        }
        catch (IOException e)
        {
            Fail(e);
        }

        try
        {
            Drain();
            End();
            await _file.DisposeAsync();
        }
        catch (IOException e)
        {
            Fail(e);
        }
    }

    // logged once: the end of the trace cannot be written either
    private void Fail(IOException e)
    {
        if (_hasFailed)
        {
            return;
        }

        _hasFailed = _isFull = true;
        _log.Write("trace failed", ("file", _path), ("reason", FileErrorText.Of(e, _path)));
    }

    private void Drain()
    {
        var text = new StringBuilder();
        int taken = 0;
        while (_ring.TryTake(out var request))
        {
            if (_isFull)
            {
                Interlocked.Increment(ref _dropped);
                continue;
            }

            Append(text, request);
            if (++taken % Batch == 0)
            {
                WriteWithin(text);
            }
        }

        WriteWithin(text);
    }

    private void WriteWithin(StringBuilder text)
    {
        if (!_isFull && _written + text.Length > _limit - Reserve)
        {
            _isFull = true;
            _log.Write("trace full", ("file", _path), ("bytes", _limit.ToString(CultureInfo.InvariantCulture)));

            // whole lines of it
            int room = (int)Math.Clamp(_limit - Reserve - _written, 0, text.Length);
            string all = text.ToString();
            Write(all[..(all.LastIndexOf('\n', Math.Max(0, room - 1)) + 1)]);
        }
        else if (!_isFull)
        {
            Write(text.ToString());
        }

        text.Clear();
    }

    private void Append(StringBuilder text, in TracedRequest traced)
    {
        var request = traced.Request;
        double start = Stopwatch.GetElapsedTime(_started, request.StartedAt).TotalMicroseconds;
        double length = Stopwatch.GetElapsedTime(0, traced.Ticks).TotalMicroseconds;
        int lane = _lanes.Take(traced.Disk, request.StartedAt, request.StartedAt + traced.Ticks);
        text.Append(CultureInfo.InvariantCulture, $"{{\"ph\":\"X\",\"name\":\"{LiveOperations.NameOf(request.Operation)}\"")
            .Append(CultureInfo.InvariantCulture, $",\"pid\":{traced.Disk + 1},\"tid\":{lane + 1}")
            .Append(CultureInfo.InvariantCulture, $",\"ts\":{start:0.###},\"dur\":{length:0.###}")
            .Append(CultureInfo.InvariantCulture, $",\"args\":{{\"offset\":{request.Offset},\"bytes\":{request.Length}")
            .Append(traced.Failed ? ",\"failed\":true}},\n" : "}},\n");
    }

    // the trace is valid JSON when it ends: this event has no comma after it
    private void End()
    {
        double now = Stopwatch.GetElapsedTime(_started).TotalMicroseconds;
        string place = string.Create(CultureInfo.InvariantCulture, $"\"pid\":1,\"tid\":1,\"s\":\"g\",\"ts\":{now:0.###}");
        string dropped = string.Create(CultureInfo.InvariantCulture, $"{{\"dropped\":{Dropped}}}");
        Write($"{{\"ph\":\"i\",\"name\":\"end of trace\",{place},\"args\":{dropped}}}\n]\n");
        _log.Write("trace ended", ("file", _path), ("bytes", _written.ToString(CultureInfo.InvariantCulture)),
            ("dropped", Dropped.ToString(CultureInfo.InvariantCulture)));
    }

    private void Write(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        _file.Write(bytes);
        _written += bytes.Length;
    }

    private void Add(in TracedRequest request)
    {
        if (_isFull || !_ring.TryAdd(request))
        {
            Interlocked.Increment(ref _dropped);
        }
    }

    private sealed class Sink(TraceFile file, int disk) : ITraceSink
    {
        public void Add(in LiveRequest request, long ticks, bool failed) => file.Add(new TracedRequest(disk, request, ticks, failed));
    }
}
