using System.Text.Json;
using System.Text.Json.Serialization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Target;
using Paddock.Posix;

namespace Paddock.Server.Namespaces;

/// <summary>What is kept of a subsystem between two starts of the server: its totals and its last events.</summary>
internal sealed record SubsystemHistory
{
    /// <summary>Name of the subsystem.</summary>
    public required string Nqn { get; set; }

    /// <summary>Whether a server runs, or has ended without a shutdown.</summary>
    public bool IsRunning { get; set; }

    /// <summary>Its totals.</summary>
    public HealthTotals Totals { get; set; } = new();

    /// <summary>Its last events.</summary>
    public IReadOnlyList<DriveEvent> Events { get; set; } = [];
}

/// <summary>The contents of the history file.</summary>
internal sealed record HistoryRecords
{
    /// <summary>Version of the format.</summary>
    public required int Version { get; set; }

    /// <summary>The subsystems.</summary>
    public required IReadOnlyList<SubsystemHistory> Subsystems { get; set; }
}

/// <summary>
/// Keeps SMART totals and persistent events of NVMe subsystems in a file: at the start, a minute after a change at the latest, and at the
/// end. Without it, the life of a drive begins with each start of the server.
/// </summary>
internal sealed class DriveHistory : IAsyncDisposable
{
    /// <summary>Name of the file in a directory of namespaces.</summary>
    public const string FileName = "history.json";

    private const long MaxFileBytes = 64 << 20;

    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private const string LockEnding = ".lock";

    private readonly string _path;
    private readonly IStorage _fileLock;
    private readonly IReadOnlyList<NvmeSubsystem> _subsystems;
    private readonly HistoryRecords _before;
    private readonly ServeLog _log;
    private readonly Timer _timer;
    private readonly Lock _lock = new();
    private bool _closed;

    private DriveHistory(
        string path, IStorage fileLock, IReadOnlyList<NvmeSubsystem> subsystems, HistoryRecords before, ServeLog log)
    {
        _path = path;
        _fileLock = fileLock;
        _subsystems = subsystems;
        _before = before;
        _log = log;
        _timer = new Timer(_ => Save(isRunning: true), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The file of a server; null: no history is kept.</summary>
    public static string? Of(ServeSettings settings)
        => settings.NvmeHistory ?? (settings.NamespaceDir is { } folder ? Path.Combine(folder, FileName) : null);

    /// <summary>Reads a file, which need not exist, and continues the totals and events of the subsystems.</summary>
    /// <exception cref="ToolException">The file is invalid, cannot be written, or is in use by another server.</exception>
    public static DriveHistory Open(string path, IReadOnlyList<NvmeSubsystem> subsystems, ServeLog log)
    {
        // the file itself is replaced: a lock of it would be lost
        var fileLock = ImageOpener.OpenFile(path + LockEnding, readOnly: false, create: true);
        try
        {
            return Open(path, fileLock, subsystems, log);
        }
        catch
        {
            fileLock.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }

    private static DriveHistory Open(string path, IStorage fileLock, IReadOnlyList<NvmeSubsystem> subsystems, ServeLog log)
    {
        var history = new DriveHistory(path, fileLock, subsystems, Load(path), log);
        foreach (var subsystem in subsystems)
        {
            if (history._before.Subsystems.FirstOrDefault(s => s.Nqn == subsystem.Nqn) is not { } before)
            {
                continue;
            }

            subsystem.Health.Continue(before.Totals with
            {
                PowerCycles = before.Totals.PowerCycles + 1,
                UnsafeShutdowns = before.Totals.UnsafeShutdowns + (before.IsRunning ? 1 : 0),
            });
            subsystem.EventLog.Continue(before.Events);
        }

        try
        {
            history.Write(isRunning: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            history._timer.Dispose();
            throw new ToolException($"nvme-history '{path}': {FileErrorText.Of(e, path)}");
        }

        history._timer.Change(Interval, Interval);
        return history;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync();
        Save(isRunning: false);
        await _fileLock.DisposeAsync();
    }

    private static HistoryRecords Load(string path)
    {
        if (!FileNames.Exists(path))
        {
            return new HistoryRecords { Version = 1, Subsystems = [] };
        }

        try
        {
            using var file = FileNames.OpenRead(path);
            var records = file.Length > MaxFileBytes ? null : JsonSerializer.Deserialize(file, HistoryJson.Default.HistoryRecords);
            return records is { Version: 1, Subsystems: not null } && records.Subsystems.All(IsValid) ? records
                : throw new ToolException($"nvme-history '{path}' is not a history of this version: choose another file, or remove it");
        }
        catch (JsonException e)
        {
            throw new ToolException($"nvme-history '{path}' is not valid: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"nvme-history '{path}': {FileErrorText.Of(e, path)}");
        }
    }

    // elements of lists may be null, whatever their type says; events are copied into a log whose fields have 16 bits for a length
    private static bool IsValid(SubsystemHistory? history)
        => history is { Nqn: not null, Totals: not null, Events: { } events } && events.Count <= DriveEvents.Capacity
            && events.All(static e => e is { Data.Length: <= 4096 and var size } && size % 4 == 0);

    private void Save(bool isRunning)
    {
        try
        {
            Write(isRunning);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.Write("warning", ("file", _path), ("reason", "the history of NVMe subsystems could not be written: " + e.Message));
        }
    }

    private void Write(bool isRunning)
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = !isRunning;
            var now = _subsystems.Select(s => new SubsystemHistory
            {
                Nqn = s.Nqn, IsRunning = isRunning, Totals = s.Health.Totals(), Events = s.EventLog.Snapshot(),
            });

            // subsystems that are not served now keep what they had
            var others = _before.Subsystems.Where(b => _subsystems.All(s => s.Nqn != b.Nqn));
            var records = new HistoryRecords { Version = 1, Subsystems = [.. now, .. others] };
            DurableFiles.Replace(_path, JsonSerializer.SerializeToUtf8Bytes(records, HistoryJson.Default.HistoryRecords));
        }
    }
}

/// <summary>JSON format of the history.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(HistoryRecords))]
internal sealed partial class HistoryJson : JsonSerializerContext;
