using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// The object <c>paddock_owner.ID</c> beside the header of image ID, in its pool and namespace. The owner of the image watches it, keeps
/// its <see cref="OwnerRecord"/>, and removes it when the image is closed.
/// </summary>
internal sealed class OwnerObject : IOwnerObject
{
    private readonly nint[] _reply = GC.AllocateArray<nint>(2, pinned: true);
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

    /// <inheritdoc/>
    public long ClientId => Cluster.ClientId;

    /// <summary>Name of the object.</summary>
    public string Name { get; }

    /// <summary>Pool and namespace, for calls of librados.</summary>
    public nint Context { get; private set; }

    /// <inheritdoc/>
    public Task<int> CatchUpAsync() => Task.Run(() => LibRados.WaitForLatestMap(Cluster.Handle));

    /// <inheritdoc/>
    public async Task<(int Result, OwnerRecord Record)> ReadAsync()
    {
        int result = await RadosCall.RunAsync(StartRead);
        return (result, result < 0 ? default : OwnerRecord.Parse(_record.AsSpan(0, result)));
    }

    /// <inheritdoc/>
    public Task<int> WriteAsync(long owner) => WriteAsync(0, [.. OwnerRecord.Field(owner), .. OwnerRecord.Field(0)], null);

    /// <inheritdoc/>
    public Task<int> ClearDoubtAsync() => WriteAsync(OwnerRecord.DoubtOffset, OwnerRecord.Field(0), null);

    /// <inheritdoc/>
    public Task<int> DoubtAsync(long owner, long client)
        => WriteAsync(OwnerRecord.DoubtOffset, OwnerRecord.Field(client), OwnerRecord.Field(owner));

    /// <inheritdoc/>
    public Task<int> ClearAsync(long owner) => WriteAsync(0, new byte[OwnerRecord.Size], OwnerRecord.Field(owner));

    /// <inheritdoc/>
    public Task<int> RemoveAsync(long owner) => ChangeAsync(OwnerRecord.Field(owner), LibRados.RemoveObject);

    /// <inheritdoc/>
    public async Task<(IAsyncDisposable? Watch, int Result)> WatchAsync(Action failed, Action<long>? notified)
        => await OwnerWatch.StartAsync(this, failed, notified);

    /// <inheritdoc/>
    public async Task<NotifyReply?> NotifyAsync(ulong milliseconds)
    {
        // with -ETIMEDOUT there is a reply as well
        _ = await RadosCall.RunAsync(completion => StartNotify(completion, milliseconds));
        return TakeReply();
    }

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

    private Task<int> WriteAsync(int offset, byte[] data, byte[]? expected)
        => ChangeAsync(expected, writes => LibRados.Write(writes, data, (nuint)data.Length, (ulong)offset));

    // librados copies what is written and compared
    private async Task<int> ChangeAsync(byte[]? expected, Action<nint> change)
    {
        nint writes = LibRados.CreateWrites();
        try
        {
            if (expected is not null)
            {
                LibRados.Compare(writes, expected, (nuint)expected.Length, 0, 0);
            }

            change(writes);
            return await RadosCall.RunAsync(completion => LibRados.Operate(writes, Context, completion, Name, 0, 0));
        }
        finally
        {
            LibRados.ReleaseWrites(writes);
        }
    }

    private int StartNotify(nint completion, ulong milliseconds)
    {
        _reply.AsSpan().Clear();
        return LibRados.Notify(
            Context, Name, completion, 0, 0, milliseconds, Marshal.UnsafeAddrOfPinnedArrayElement(_reply, 0),
            Marshal.UnsafeAddrOfPinnedArrayElement(_reply, 1));
    }

    private unsafe NotifyReply? TakeReply()
    {
        if (_reply[0] == 0)
        {
            return null;
        }

        var reply = NotifyReply.TryParse(new ReadOnlySpan<byte>((byte*)_reply[0], (int)_reply[1]));
        LibRados.Free(_reply[0]);
        return reply;
    }
}
