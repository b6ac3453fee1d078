using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>A server that owns the disk, as clients know it.</summary>
/// <param name="Server">The server.</param>
/// <param name="Generation">Which owner it is.</param>
internal sealed record DiskPath(SimServer Server, int Generation)
{
    /// <summary>Completes when clients know a later owner.</summary>
    public TaskCompletionSource Replaced { get; } = new();
}

/// <summary>The path to the disk was lost: another one must be found.</summary>
internal sealed class PathLostException : Exception;

/// <summary>
/// Clients that write, append, reset, finish, discard, flush and verify. Each has zones of its own. A request whose answer was lost with
/// its path is not sent again, except an append that has not landed.
/// </summary>
/// <param name="process">Process of the clients.</param>
/// <param name="model">What the disk must hold.</param>
/// <param name="shape">Shape of the disk.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class HandoverLoad(SimProcess process, DiskModel model, DiskShape shape, Random random)
{
    private const int Sector = SectorPattern.Sector;

    private DiskPath? _path;
    private TaskCompletionSource _found = new();

    /// <summary>Clients.</summary>
    public int Clients { get; init; } = 1;

    /// <summary>Most bytes of an append; 0: no limit.</summary>
    public long MaxAppend { get; init; }

    /// <summary>Whether zones can be refused for want of resources.</summary>
    public bool HasZoneLimits { get; init; }

    /// <summary>Whether clients are to end.</summary>
    public bool IsEnding { get; set; }

    /// <summary>Answered requests.</summary>
    public int Answers { get; private set; }

    /// <summary>Records operations for failure reports.</summary>
    public required Action<string> Trace { get; init; }

    /// <summary>Clients learn which server owns the disk.</summary>
    public void Found(DiskPath path)
    {
        if (path.Generation > (_path?.Generation ?? 0))
        {
            _path?.Replaced.SetResult();
            _path = path;
            var found = _found;
            _found = new TaskCompletionSource();
            found.SetResult();
        }
    }

    /// <summary>Runs all clients until they are to end.</summary>
    public Task RunAsync() => Task.WhenAll(Enumerable.Range(0, Clients).Select(ClientAsync));

    private async Task ClientAsync(int client)
    {
        DiskPath? lost = null;
        int mine = (shape.Zones - client + Clients - 1) / Clients;
        while (!IsEnding)
        {
            if (_path is null || _path == lost)
            {
                await Task.WhenAny(_found.Task, process.DelayAsync(VirtualTime.Second));
                continue;
            }

            var path = _path;
            try
            {
                await process.DelayAsync(random.NextInt64(random.Next(4) == 0 ? 300_000 : 3000));
                await StepAsync(path, mine == 0 ? -1 : client + (random.Next(mine) * Clients));
            }
            catch (PathLostException)
            {
                lost = path;
            }
        }
    }

    private async Task StepAsync(DiskPath path, int zone)
    {
        int kind = random.Next(100);
        if (zone < 0 || kind < 14)
        {
            await FlushAsync(path);
            return;
        }

        if (model[zone].Generation != path.Generation)
        {
            await JudgeAsync(path, zone);
        }

        await (zone < shape.Conventional ? ConventionalAsync(path, zone, kind) : SequentialAsync(path, zone, kind));
    }

    private async Task JudgeAsync(DiskPath path, int zone)
    {
        var found = await ReadAsync(path, zone, mayBeOpen: false);
        var descriptor = found.Descriptor;
        Trace($"owner {path.Generation}: zone {zone} is {descriptor.Condition}, {descriptor.WritePointer - descriptor.Start}");
        model.Judge(zone, path.Generation, found);
    }

    private Task ConventionalAsync(DiskPath path, int zone, int kind) => kind switch
    {
        < 60 => OverwriteAsync(path, zone, isZero: false),
        < 72 => OverwriteAsync(path, zone, isZero: true),
        < 86 => DiscardAsync(path, zone),
        _ => VerifyAsync(path, zone),
    };

    private Task SequentialAsync(DiskPath path, int zone, int kind) => kind switch
    {
        _ when model[zone].Resend != 0 => WriteAsync(path, zone, append: true),
        < 44 => WriteAsync(path, zone, append: false),
        < 62 => WriteAsync(path, zone, append: true),
        < 68 when !HasZoneLimits => AppendManyAsync(path, zone),
        < 74 => ManageAsync(path, zone, ZoneAction.Finish),
        < 84 => ManageAsync(path, zone, ZoneAction.Reset),
        < 87 => ManageAsync(path, zone, ZoneAction.Open),
        < 90 => ManageAsync(path, zone, ZoneAction.Close),
        _ => VerifyAsync(path, zone),
    };

    private async Task OverwriteAsync(DiskPath path, int zone, bool isZero)
    {
        var sectors = model[zone].Sectors!;
        var (at, length) = Range(zone);
        uint version = isZero ? 0 : model.NextVersion();
        bool isFua = random.Next(6) == 0;
        Trace($"write {at} of zone {zone} {length} version {version}{(isFua ? " fua" : "")}");
        var op = model[zone].Timeline.Begin(isFua);
        sectors.Write(op, at, length, version);
        long offset = shape.StartOf(zone) + at;
        if (await RequestAsync(path, [op], async device =>
        {
            if (isZero)
            {
                var flags = random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None;
                await device.WriteZeroesAsync(offset, length, isFua ? flags | ZeroFlags.Fua : flags);
            }
            else
            {
                var flags = isFua ? WriteFlags.Fua : WriteFlags.None;
                await device.WriteAsync(offset, SectorPattern.Make(offset, length, version), flags);
            }
        }))
        {
            sectors.Acknowledged(at, length, version);
        }
    }

    private async Task DiscardAsync(DiskPath path, int zone)
    {
        var sectors = model[zone].Sectors!;
        var (at, length) = Range(zone);
        Trace($"discard {at} of zone {zone} {length}");
        var op = model[zone].Timeline.Begin();
        sectors.Write(op, at, length, 0);
        long[] versions = [];
        long offset = shape.StartOf(zone) + at;
        if (await RequestAsync(path, [op], async device =>
        {
            await device.DiscardAsync(offset, length);
            versions = await VersionsAsync(device, offset, length);
        }))
        {
            for (int i = 0; i < versions.Length; i++)
            {
                sectors.Discarded(op, (at / Sector) + i, (uint)versions[i]);
            }
        }
    }

    private async Task WriteAsync(DiskPath path, int zone, bool append)
    {
        var past = model[zone];
        var now = past.Line!.Now!;
        long room = shape.CapacityOf(zone) - now.Written;
        room = append && MaxAppend > 0 ? Math.Min(room, MaxAppend) : room;
        int length = (int)Math.Min(room, SomeLength());
        uint version = past.Resend != 0 ? past.Resend : model.NextVersion();
        past.Resend = 0;
        if (length == 0 || now.IsFull)
        {
            return;
        }

        bool isFua = random.Next(6) == 0;
        Trace($"{(append ? "append" : "write")} zone {zone} at {now.Written} {length} version {version}{(isFua ? " fua" : "")}");
        var op = past.Timeline.Begin(isFua);
        past.Line.Begin(op, After(zone, now, version, length), isWrite: true);
        past.Appending = append ? version : 0;
        long start = shape.StartOf(zone), at = start + now.Written;
        var flags = isFua ? WriteFlags.Fua : WriteFlags.None;
        if (await RequestAsync(path, [op], async device =>
        {
            var data = SectorPattern.Make(at, length, version);
            if (append)
            {
                long landed = await device.Zones!.AppendAsync(start, data, flags);
                SimFailure.Unless(landed == at, $"append landed at {landed}, not {at}");
            }
            else
            {
                await device.WriteAsync(at, data, flags);
            }
        }))
        {
            past.Line.Done();
        }

        past.Appending = 0;
    }

    /// <summary>Several appends at once, of one sector each, which arrive in order.</summary>
    private async Task AppendManyAsync(DiskPath path, int zone)
    {
        var past = model[zone];
        var now = past.Line!.Now!;
        long start = shape.StartOf(zone), from = start + now.Written;
        int count = (int)Math.Min(random.Next(2, 6), (shape.CapacityOf(zone) - now.Written) / Sector);
        if (count <= 0 || now.IsFull)
        {
            return;
        }

        var ops = new TimedOp[count];
        uint[] versions = new uint[count];
        for (int i = 0; i < count; i++)
        {
            versions[i] = model.NextVersion();
            ops[i] = past.Timeline.Begin();
            now = After(zone, now, versions[i], Sector);
            past.Line.Begin(ops[i], now, isWrite: true);
        }

        // the network may deliver requests in another order, so they go as one
        Trace($"{count} appends to zone {zone} at {from - start}, versions from {versions[0]}");
        await RequestAsync(path, ops, device => Task.WhenAll(Enumerable.Range(0, count).Select(async i =>
        {
            long at = from + (i * Sector);
            long landed = await device.Zones!.AppendAsync(start, SectorPattern.Make(at, Sector, versions[i]));
            SimFailure.Unless(landed == at, $"append landed at {landed}, not {at} by order of arrival");
        })));
        past.Line.Done();
    }

    private async Task ManageAsync(DiskPath path, int zone, ZoneAction action)
    {
        var past = model[zone];
        var now = past.Line!.Now!;
        Trace($"{action} zone {zone}");
        var op = past.Timeline.Begin();
        bool isChange = action is ZoneAction.Finish or ZoneAction.Reset;
        if (isChange)
        {
            past.Line.Begin(op, action == ZoneAction.Finish ? now with { IsFull = true } : ZoneContents.Empty);
        }

        if (await RequestAsync(
            path, [op], device => device.Zones!.ManageAsync(action, shape.StartOf(zone), shape.LengthOf(zone)).AsTask()) && isChange)
        {
            past.Line.Done();
        }
    }

    private async Task FlushAsync(DiskPath path)
    {
        Trace("flush");
        await RequestAsync(path, [model.TimelineOf(path.Generation).BeginFlush()], static device => device.FlushAsync().AsTask());
    }

    private async Task VerifyAsync(DiskPath path, int zone) => model.CheckNow(zone, await ReadAsync(path, zone, mayBeOpen: true));

    private async Task<FoundZone> ReadAsync(DiskPath path, int zone, bool mayBeOpen)
    {
        FoundZone found = default;
        await RequestAsync(path, [], async device => found = await ReadAsync(device, shape, zone, mayBeOpen));
        return found;
    }

    /// <summary>Reads a zone of a disk.</summary>
    public static async Task<FoundZone> ReadAsync(IBlockDevice device, DiskShape shape, int zone, bool mayBeOpen)
    {
        var report = new ZoneDescriptor[1];
        SimFailure.Unless(
            device.Zones is null || await device.Zones.ReportAsync(shape.StartOf(zone), report) == 1, "a report of one zone has none");
        return new FoundZone(report[0], await VersionsAsync(device, shape.StartOf(zone), (int)shape.LengthOf(zone)), 0, mayBeOpen);
    }

    /// <summary>Sends a request and waits for its answer, or for another path.</summary>
    /// <returns>Whether it succeeded; false: a rule of the disk forbids it.</returns>
    /// <exception cref="PathLostException">The server does not serve the disk any more, or has lost it.</exception>
    private async Task<bool> RequestAsync(DiskPath path, TimedOp[] ops, Func<IBlockDevice, Task> request)
    {
        var answer = new TaskCompletionSource<Outcome>();
        bool isLate = false;
        path.Server.Submit(path.Generation, ops.Length == 0, request, process, outcome =>
        {
            model.HasLateAnswers |= isLate && outcome == Outcome.Done && ops.Length > 0;
            foreach (var op in ops)
            {
                op.Refused = outcome is Outcome.Refused or Outcome.NotServed;
                if (outcome == Outcome.Done)
                {
                    model.TimelineOf(path.Generation).Acknowledge(op);
                }
            }

            answer.SetResult(outcome);
        });
        await Task.WhenAny(answer.Task, path.Replaced.Task);
        if (!answer.Task.IsCompleted || answer.Task.Result is Outcome.NotServed or Outcome.Lost)
        {
            isLate = true;
            Trace($"owner {path.Generation}: {(answer.Task.IsCompleted ? answer.Task.Result : "no answer")}");
            throw new PathLostException();
        }

        Answers++;
        return answer.Task.Result == Outcome.Done;
    }

    private static async Task<long[]> VersionsAsync(IBlockDevice device, long offset, int length)
    {
        var bytes = new byte[length];
        await device.ReadAsync(offset, bytes);
        var versions = new long[length / Sector];
        for (int i = 0; i < versions.Length; i++)
        {
            versions[i] = SectorPattern.Identify(bytes.AsSpan(i * Sector, Sector), offset + (i * Sector));
        }

        return versions;
    }

    private ZoneContents After(int zone, ZoneContents before, uint version, int length)
    {
        uint[] versions = [.. before.Versions, .. Enumerable.Repeat(version, length / Sector)];
        return before with { Versions = versions, IsFull = versions.Length * (long)Sector == shape.CapacityOf(zone) };
    }

    private int SomeLength() => (1 + random.Next(random.Next(3) == 0 ? 128 : 12)) * Sector;

    private (long At, int Length) Range(int zone)
    {
        long room = shape.LengthOf(zone);
        long at = random.NextInt64(room / Sector) * Sector;
        return (at, (int)Math.Min(room - at, SomeLength()));
    }
}
