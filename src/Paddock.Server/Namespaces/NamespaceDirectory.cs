using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Nvme;
using Paddock.Nvme.Target;
using Paddock.Posix;
using Paddock.Qcow2;
using Paddock.Server.Disks;

namespace Paddock.Server.Namespaces;

/// <summary>
/// The directory of namespaces that NVMe hosts create: an image for each, and <c>namespaces.json</c>. A name is recorded there after its
/// image is complete and before the image is removed, so that a crash, or a record that could not be written, leaves at most an image
/// that is not recorded.
/// </summary>
internal sealed class NamespaceDirectory : INamespaceManager, IAsyncDisposable
{
    /// <summary>Maximum identifier of a namespace.</summary>
    public const int Limit = 32;

    private const string ImagePrefix = "namespace-", ImageSuffix = ".qcow2", LockName = "lock";
    private const int MaxNames = 1_000_000;

    private readonly ImageOpener _opener;
    private readonly DiskSet _disks;
    private readonly ServeLog _log;
    private readonly string _folder;
    private readonly long? _cache;
    private readonly IStorage _lock;
    private readonly Lock _recordsLock = new();
    private readonly Dictionary<uint, Entry> _entries = [];

    private NamespaceDirectory(
        NamespaceSettings settings, long? cache, ImageOpener opener, DiskSet disks, ServeLog log, IStorage folderLock)
    {
        _opener = opener;
        _disks = disks;
        _log = log;
        _folder = settings.Folder;
        _cache = cache;
        _lock = folderLock;
        TotalBytes = settings.Quota;
        ZoneSize = settings.ZoneSize;
        RandomArea = settings.RandomArea;
    }

    /// <inheritdoc/>
    public long TotalBytes { get; }

    /// <inheritdoc/>
    public long FreeBytes
    {
        get
        {
            lock (_recordsLock)
            {
                return Math.Max(0, TotalBytes - _entries.Values.Sum(e => e.Record.Size));
            }
        }
    }

    /// <inheritdoc/>
    public uint MaxNamespaces => Limit;

    /// <inheritdoc/>
    public long SizeGranularity => 1 << 20;

    /// <inheritdoc/>
    public long ZoneSize { get; }

    /// <inheritdoc/>
    public RandomAreaLimits RandomArea { get; }

    /// <summary>The namespaces and their disks.</summary>
    public IReadOnlyList<(NvmeNamespace Namespace, ServedDisk Disk)> Served
    {
        get
        {
            lock (_recordsLock)
            {
                return [.. _entries.Values.Where(e => e.Namespace is not null).Select(e => (e.Namespace!, e.Disk))];
            }
        }
    }

    private IReadOnlyList<NamespaceRecord> Records
    {
        get
        {
            lock (_recordsLock)
            {
                return [.. _entries.Values.Select(e => e.Record)];
            }
        }
    }

    /// <summary>Opens a directory and the images of its namespaces.</summary>
    /// <param name="settings">The directory, the quota and the zone size.</param>
    /// <param name="cache">Size of the volatile write cache of each image in bytes; null: none.</param>
    /// <param name="opener">Opens images.</param>
    /// <param name="disks">Receives the disks; owns them.</param>
    /// <param name="log">Receives warnings.</param>
    /// <exception cref="ToolException">The directory is in use, or an image cannot be opened.</exception>
    public static async Task<NamespaceDirectory> OpenAsync(
        NamespaceSettings settings, long? cache, ImageOpener opener, DiskSet disks, ServeLog log)
    {
        if (!Directory.Exists(settings.Folder))
        {
            throw new ToolException($"--namespace-dir '{settings.Folder}': no such directory");
        }

        var folderLock = ImageOpener.OpenFile(Path.Combine(settings.Folder, LockName), readOnly: false, create: true);
        var directory = new NamespaceDirectory(settings, cache, opener, disks, log, folderLock);
        try
        {
            await directory.LoadAsync();
            return directory;
        }
        catch
        {
            await directory.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public bool Owns(NvmeNamespace ns) => Find(ns) is not null;

    /// <summary>Whether a disk is one of its namespaces.</summary>
    public bool Owns(ServedDisk disk)
    {
        lock (_recordsLock)
        {
            return _entries.Values.Any(e => e.Disk == disk);
        }
    }

    /// <summary>The recorded namespaces as they are served, with the hosts that they are attached to.</summary>
    public IEnumerable<(NvmeNamespace Namespace, ServedDisk Disk, HostAttachments Attachments)> Serve()
    {
        Entry[] all;
        lock (_recordsLock)
        {
            all = [.. _entries.Values];
        }

        foreach (var entry in all)
        {
            entry.Namespace = NamespaceOf(entry.Record, entry.Disk);
            yield return (entry.Namespace, entry.Disk, new HostAttachments(everyHost: false, entry.Record.Hosts));
        }
    }

    /// <inheritdoc/>
    public async ValueTask<NvmeNamespace> CreateAsync(NamespaceRequest request)
    {
        string name = FreeName(request.Id);
        string path = Path.Combine(_folder, name);
        var record = new NamespaceRecord
        {
            Id = request.Id, Unique = Guid.NewGuid(), File = name, Size = request.Bytes, BlockSize = request.BlockSize,
            IsPrivate = request.IsPrivate,
        };
        ServedDisk? disk = null;
        bool mayBeRecorded = false;
        try
        {
            await CreateImageAsync(path, request);
            disk = await OpenAsync(record);
            var entry = new Entry(record, disk) { Namespace = NamespaceOf(record, disk) };
            mayBeRecorded = true;
            Save([.. Records, record]);
            lock (_recordsLock)
            {
                _entries.Add(record.Id, entry);
            }

            _disks.Add(disk);
            _log.Write("namespace created", ("id", Text(record.Id)), ("image", path), ("bytes", Text(record.Size)));
            return entry.Namespace;
        }
        catch (Exception e) when (e is ToolException or IOException or UnauthorizedAccessException)
        {
            await (disk?.CloseAsync() ?? Task.FromResult<string?>(null));
            if (!mayBeRecorded || !IsRecorded(name))
            {
                FileNames.Delete(path);
            }

            _log.Write("warning", ("image", path), ("reason", "a namespace could not be created: " + e.Message));
            throw e as BlockException ?? e.InnerException as BlockException ?? Errno.Translate(e, $"'{path}' cannot be created");
        }
    }

    /// <inheritdoc/>
    public ValueTask SaveAsync(NvmeNamespace ns, HostAttachments attachments)
    {
        if (Find(ns) is not { } entry)
        {
            return ValueTask.CompletedTask;
        }

        var changed = entry.Record with { BlockSize = ns.BlockSize, Hosts = [.. attachments.Hosts] };
        Save([.. Records.Select(r => r.Id == changed.Id ? changed : r)]);
        entry.Record = changed;
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void GiveUpHeld(NvmeNamespace ns) => Find(ns)?.Disk.Faults.GiveUpAll();

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(NvmeNamespace ns)
    {
        if (Find(ns) is not { } entry)
        {
            return;
        }

        var before = Records;
        try
        {
            Save([.. before.Where(r => r.Id != ns.Id)]);
        }
        catch (BlockException)
        {
            // the namespace stays: so must its record, which the failure may have come after
            Save(before);
            throw;
        }

        lock (_recordsLock)
        {
            _entries.Remove(ns.Id);
        }

        _disks.Remove(entry.Disk);
        await entry.Disk.RemoveAsync();
        string path = Path.Combine(_folder, entry.Record.File);
        try
        {
            FileNames.Delete(path);
            DurableFiles.SyncFolder(_folder);
            _log.Write("namespace deleted", ("id", Text(ns.Id)), ("image", path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // it is not recorded any more: the namespace is gone, the file is left over
            _log.Write("warning", ("image", path), ("reason", "the image of a deleted namespace could not be removed: " + e.Message));
        }
    }

    /// <summary>Releases the directory; the disks are closed by the server.</summary>
    public ValueTask DisposeAsync() => _lock.DisposeAsync();

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static NvmeNamespace NamespaceOf(NamespaceRecord record, ServedDisk disk)
        => new(record.Id, disk.Device, record.BlockSize, disk.Name)
        {
            HeldRequests = disk.Faults, Unique = record.Unique, IsPrivate = record.IsPrivate, IsShared = !record.IsPrivate,
            CanChangeFormat = true,
        };

    private async Task LoadAsync()
    {
        foreach (var record in NamespaceRecords.Load(_folder).Namespaces)
        {
            var disk = await OpenAsync(record);
            _entries.Add(record.Id, new Entry(record, disk));
            _disks.Add(disk);
        }

        var known = _entries.Values.Select(e => e.Record.File).ToHashSet(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(_folder, ImagePrefix + "*" + ImageSuffix))
        {
            if (!known.Contains(Path.GetFileName(path)))
            {
                _log.Write("warning", ("image", path), ("reason", $"no namespace of '{NamespaceRecords.FileName}' uses it: a server ended "
                    + "while it created or deleted the namespace, and the file may be removed"));
            }
        }
    }

    private Task<ServedDisk> OpenAsync(NamespaceRecord record)
    {
        var settings = new ServedImage { Path = Path.Combine(_folder, record.File), Format = "qcow2" };
        return ServedDisk.OpenAsync(_opener, settings, PaddockServer.StemOf(record.File), _cache);
    }

    private static async Task CreateImageAsync(string path, NamespaceRequest request)
    {
        var options = new Qcow2CreateOptions
        {
            Size = request.Bytes,
            Zoned = request.ZoneCapacity == 0 ? null : new ZonedCreateOptions
            {
                ZoneSize = request.ZoneSize, ZoneCapacity = request.ZoneCapacity,
                RandomArea = request.RandomArea, MaxOpenZones = request.MaxOpenZones, MaxActiveZones = request.MaxActiveZones,
            },
        };
        Qcow2Image.CheckCreateOptions(options);
        await using var storage = ImageOpener.OpenFile(path, readOnly: false, create: true);
        await Qcow2Image.CreateAsync(storage, options);
        await storage.FlushAsync();
    }

    // a record that cannot be read may name the image
    private bool IsRecorded(string name)
    {
        try
        {
            return NamespaceRecords.Load(_folder).Namespaces.Any(r => r.File == name);
        }
        catch (ToolException)
        {
            return true;
        }
    }

    // a file that a crash has left over is not touched
    private string FreeName(uint id)
    {
        for (int i = 0; i < MaxNames; i++)
        {
            string name = ImagePrefix + Text(id) + (i == 0 ? "" : "-" + Text(i)) + ImageSuffix;
            if (!FileIdentity.IsTaken(Path.Combine(_folder, name)))
            {
                return name;
            }
        }

        throw new BlockException(BlockError.NoSpace, $"'{_folder}' has no free name for namespace {id}");
    }

    private void Save(IReadOnlyList<NamespaceRecord> records)
    {
        try
        {
            new NamespaceRecords { Namespaces = records }.Save(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw e as BlockException ?? Errno.Translate(e, $"'{Path.Combine(_folder, NamespaceRecords.FileName)}' cannot be written");
        }
    }

    private Entry? Find(NvmeNamespace ns)
    {
        lock (_recordsLock)
        {
            return _entries.TryGetValue(ns.Id, out var entry) && entry.Namespace == ns ? entry : null;
        }
    }

    private sealed class Entry(NamespaceRecord record, ServedDisk disk)
    {
        public NamespaceRecord Record { get; set; } = record;

        public ServedDisk Disk => disk;

        public NvmeNamespace? Namespace { get; set; }
    }
}
