using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Which storage holds the guest data of an image that has an external data file.</summary>
internal sealed class DataDisks
{
    private readonly ConditionalWeakTable<IStorage, IStorage> _disks = [];

    /// <summary>The data of an image's storage; null: it has none of its own.</summary>
    public IStorage? Of(IStorage image) => _disks.TryGetValue(image, out var data) ? data : null;

    /// <summary>Names the data of an image's storage.</summary>
    public void Set(IStorage image, IStorage? data)
    {
        if (data is not null)
        {
            _disks.AddOrUpdate(image, data);
        }
    }

    /// <summary>Creates an image on a durable disk, and its data file on another.</summary>
    public async Task<PagedStorage> BuildAsync(Qcow2CreateOptions create)
    {
        var storage = new PagedStorage("image");
        if (create.DataFile is null)
        {
            await Qcow2Image.CreateAsync(storage, create);
            return storage;
        }

        var data = new PagedStorage("data");
        await Qcow2Image.CreateAsync(storage, data, create);
        Set(storage, data);
        return storage;
    }

    /// <summary>The options to open an image in a storage.</summary>
    public Qcow2OpenOptions OpenOptions(IStorage image, Qcow2OpenOptions open) => Encryption.Open(open with { DataFile = Of(image) });
}
