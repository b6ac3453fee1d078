using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// The object <c>paddock_owner.ID</c> beside the header of image ID, in its pool and namespace. The owner of the image watches it, keeps
/// its <see cref="OwnerRecord"/>, and removes it when the image is closed.
/// </summary>
/// <remarks>Results are 0 or more, or negative error numbers.</remarks>
internal sealed class OwnerObject : IDisposable
{
    private readonly byte[] _record = GC.AllocateArray<byte>(OwnerRecord.Size, pinned: true);

    /// <param name="cluster">The connection; outlives this.</param>
    /// <param name="id">Id of the image.</param>
    public OwnerObject(RbdCluster cluster, string id)
    {
        Cluster = cluster;
        Name = "paddock_owner." + id;
        Context = cluster.OpenContext();
    }

    /// <summary>The connection.</summary>
    public RbdCluster Cluster { get; }

    /// <summary>Name of the object.</summary>
    public string Name { get; }

    /// <summary>Pool and namespace, for calls of librados.</summary>
    public nint Context { get; private set; }

    /// <summary>Reads the record; one call at a time.</summary>
    public async Task<(int Result, OwnerRecord Record)> ReadAsync()
    {
        int result = await RadosCall.RunAsync(StartRead);
        return (result, result < 0 ? default : OwnerRecord.Parse(_record.AsSpan(0, result)));
    }

    /// <summary>Writes the whole record of an owner that nobody doubts; creates the object.</summary>
    public Task<int> WriteAsync(long owner) => WriteAsync(0, [.. OwnerRecord.Field(owner), .. OwnerRecord.Field(0)], null);

    /// <summary>Removes the doubt.</summary>
    public Task<int> ClearDoubtAsync() => WriteAsync(OwnerRecord.DoubtOffset, OwnerRecord.Field(0), null);

    /// <summary>Doubts an owner; fails if that is not the owner any more.</summary>
    public Task<int> DoubtAsync(long owner, long client)
        => WriteAsync(OwnerRecord.DoubtOffset, OwnerRecord.Field(client), OwnerRecord.Field(owner));

    /// <summary>Empties the record of an owner that is fenced; fails if another one has written it.</summary>
    /// <param name="owner">The owner.</param>
    /// <param name="doubt">The client whose doubt must be there still, so that the lease was not renewed since; null: any, or none.</param>
    public Task<int> ClearAsync(long owner, long? doubt)
        => WriteAsync(
            0, new byte[OwnerRecord.Size],
            doubt is { } client ? [.. OwnerRecord.Field(owner), .. OwnerRecord.Field(client)] : OwnerRecord.Field(owner));

    /// <summary>Removes the object.</summary>
    public Task<int> RemoveAsync() => RadosCall.RunAsync(completion => LibRados.Remove(Context, Name, completion));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Context != 0)
        {
            LibRados.ClosePool(Context);
            Context = 0;
        }
    }

    private int StartRead(nint completion)
        => LibRados.Read(
            Context, Name, completion, Marshal.UnsafeAddrOfPinnedArrayElement(_record, 0), OwnerRecord.Size, 0);

    // librados copies what is written and compared
    private async Task<int> WriteAsync(int offset, byte[] data, byte[]? expected)
    {
        nint writes = LibRados.CreateWrites();
        try
        {
            if (expected is not null)
            {
                LibRados.Compare(writes, expected, (nuint)expected.Length, 0, 0);
            }

            LibRados.Write(writes, data, (nuint)data.Length, (ulong)offset);
            return await RadosCall.RunAsync(completion => LibRados.Operate(writes, Context, completion, Name, 0, 0));
        }
        finally
        {
            LibRados.ReleaseWrites(writes);
        }
    }
}
