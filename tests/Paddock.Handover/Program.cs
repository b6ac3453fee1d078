using System.Diagnostics;
using System.Globalization;
using Paddock.Handover;

if (args is [] or ["--help"])
{
    Console.WriteLine(HandoverOptions.Usage);
    return args.Length == 0 ? 64 : 0;
}

int count = HandoverOptions.Number(args[0]), lanes = 1, seed = (int)(Stopwatch.GetTimestamp() % 1_000_000);
HandoverKind[] kinds = Enum.GetValues<HandoverKind>();
bool hasPaths = false, isFile = false, isWriteThrough = false, isVerbose = false;
for (int i = 1; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--lanes":
            lanes = HandoverOptions.Number(args[++i]);
            break;
        case "--seed":
            seed = HandoverOptions.Number(args[++i]);
            break;
        case "--kinds":
            kinds = HandoverOptions.ParseKinds(args[++i]);
            break;
        case "--file":
            isFile = true;
            break;
        case "--write-through":
            isWriteThrough = true;
            break;
        case "--paths":
            hasPaths = true;
            break;
        case "--verbose":
            isVerbose = true;
            break;
        default:
            Console.Error.WriteLine($"unknown option '{args[i]}'\n{HandoverOptions.Usage}");
            return 64;
    }
}

string folder = Environment.GetEnvironmentVariable("HANDOVER_FOLDER") ?? Directory.CreateTempSubdirectory("paddock-handover-").FullName;
string? cluster = Environment.GetEnvironmentVariable("CEPH_CONF");
string[] program = Environment.GetEnvironmentVariable("PADDOCK") is { Length: > 0 } path ? [path]
    : ["dotnet", Path.Combine(AppContext.BaseDirectory, "paddock.dll")];
var watch = Stopwatch.StartNew();
var runs = Enumerable.Range(0, lanes).Select(lane => Lane.RunAsync(new HandoverOptions
{
    Count = (count / lanes) + (lane < count % lanes ? 1 : 0),
    Seed = seed + lane,
    Folder = Path.Combine(folder, $"lane{lane}"),
    Image = isFile ? Path.Combine(folder, $"image{lane}.qcow2") : $"rbd:rbd/image{lane}:id=paddock:conf={cluster}",
    Program = program,
    Kinds = kinds,
    SeveralPaths = hasPaths,
    StoppedKeepsIt = isFile,
    WriteThrough = isWriteThrough,
    Report = isVerbose ? line => Console.WriteLine($"{watch.Elapsed.TotalSeconds:0}s {line}") : null,
})).ToArray();
var results = new List<LaneResult>();
int failed = 0;
foreach (var run in runs)
{
    try
    {
        results.Add(await run);
    }
    catch (HandoverException e)
    {
        failed++;
        Console.WriteLine("FAILED: " + e.Message);
    }
}

foreach (var kind in results.SelectMany(r => r.Times).GroupBy(t => (t.Kind, t.IsMoved)).OrderBy(k => k.Key))
{
    double[] times = [.. kind.Select(t => t.Time.TotalMilliseconds).Order()];
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{kind.Key.Kind}{(kind.Key.IsMoved ? "" : " (same server)")}: {times.Length}, first answer after {times[times.Length / 2]:0} ms "
        + $"(median), {times[^1]:0} ms (worst)"));
}

Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"seed {seed}: {results.Sum(r => r.Times.Count)} hand-overs, {results.Sum(r => r.Requests)} requests, disk compared "
    + $"{results.Sum(r => r.Verified)} times, {results.Sum(r => r.LookedUp)} appends without an answer found once, "
    + $"{failed} lanes failed, {watch.Elapsed.TotalSeconds:0} s"));
return failed == 0 ? 0 : 1;
