using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Qcow2;

namespace Paddock.Nvme.Tests;

/// <summary>Namespaces that hosts create, as images in memory.</summary>
internal sealed class MemoryNamespaces : INamespaceManager
{
    public const long Quota = 8 << 20, Zone = 64 << 10;

    private readonly Dictionary<uint, (NvmeNamespace Namespace, IBlockDevice Image)> _all = [];

    public long TotalBytes => Quota;

    public long FreeBytes => Quota - _all.Values.Sum(e => e.Image.Length);

    public uint MaxNamespaces => 6;

    public long SizeGranularity => 64 << 10;

    public long ZoneSize => Zone;

    public RandomAreaLimits RandomArea => new(16 << 10, 8 << 10, 0);

    /// <summary>Whether the next change cannot be recorded.</summary>
    public bool FailsNext { get; set; }

    public bool Owns(NvmeNamespace ns) => _all.TryGetValue(ns.Id, out var own) && own.Namespace == ns;

    public async ValueTask<NvmeNamespace> CreateAsync(NamespaceRequest request)
    {
        Fail();
        var storage = new MemoryStorage("namespace");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = request.Bytes, ClusterSize = 4096,
            Zoned = request.ZoneSize == 0 ? null : new ZonedCreateOptions
            {
                ZoneSize = request.ZoneSize, ZoneCapacity = request.ZoneCapacity,
                RandomArea = request.RandomArea, MaxActiveZones = request.MaxActiveZones, MaxOpenZones = request.MaxOpenZones,
            },
        });
        var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        var ns = new NvmeNamespace(request.Id, CheckedDevice.Wrap(image), request.BlockSize, $"namespace-{request.Id}")
        {
            IsPrivate = request.IsPrivate, IsShared = !request.IsPrivate, CanChangeFormat = true,
        };
        _all.Add(request.Id, (ns, image));
        return ns;
    }

    public ValueTask SaveAsync(NvmeNamespace ns, HostAttachments attachments)
    {
        Fail();
        return ValueTask.CompletedTask;
    }

    public void GiveUpHeld(NvmeNamespace ns)
    {
    }

    public async ValueTask DeleteAsync(NvmeNamespace ns)
    {
        Fail();
        _all.Remove(ns.Id, out var own);
        await own.Image.DisposeAsync();
    }

    private void Fail()
    {
        if (FailsNext)
        {
            FailsNext = false;
            throw new BlockException(BlockError.Io, "injected");
        }
    }
}
