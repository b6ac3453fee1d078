using System.Runtime.InteropServices;
using System.Text;
using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// The exclusive lock of an image. librbd hands its lock to whoever asks, even while it is written; once it was acquired here, nobody gets
/// it, and an owner that is alive is not asked for it.
/// </summary>
/// <param name="cluster">The connection.</param>
/// <param name="image">The open image.</param>
/// <param name="name">Name for messages.</param>
internal sealed unsafe class RbdLock(RbdCluster cluster, nint image, string name)
{
    private const int ReadOnlyError = -30, TooSmall = -34, MaxWatchers = 64 << 10;

    private readonly HeaderLock _header = new(cluster.Pool, IdOf(image));

    /// <summary>The id of an open image.</summary>
    public static string IdOf(nint image)
    {
        Span<byte> id = stackalloc byte[128];
        RbdErrors.Check(LibRbd.GetId(image, id, (nuint)id.Length), "cannot read the id of the image");
        return Encoding.ASCII.GetString(id[..Math.Max(id.IndexOf((byte)0), 0)]);
    }

    /// <summary>The client that has the lock.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public Task<LockHolder> ReadHolderAsync() => RbdLockCalls.HolderAsync(_header, name);

    /// <summary>The address of the client that has the lock; empty if none has.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public string ReadAddress()
    {
        byte** owners = stackalloc byte*[1];
        nuint count = 1;
        int result = LibRbd.GetLockOwners(image, out _, owners, ref count);
        if (result == RbdErrors.NotFoundResult)
        {
            return "";
        }

        RbdErrors.Check(result, $"cannot read the lock of '{name}'");
        string address = Marshal.PtrToStringUTF8((nint)owners[0]) ?? "";
        LibRbd.FreeLockOwners(owners, count);
        return address;
    }

    /// <summary>Acquires the lock for as long as the image is open; the image is open for writing, and nobody alive has the lock.</summary>
    /// <returns>Whether another client has it.</returns>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public bool Acquire()
    {
        // an owner that is dead is blocklisted by librbd before its lock is broken
        int result = LibRbd.AcquireLock(image, LibRbd.LockExclusive);
        RbdErrors.Check(result == ReadOnlyError ? 0 : result, $"cannot acquire the exclusive lock of '{name}'");
        return result != ReadOnlyError;
    }

    /// <summary>
    /// Whether a client has the image open, as far as the cluster knows: it watches the header, and the watch of a dead one ends after 30
    /// seconds.
    /// </summary>
    /// <param name="owner">The client.</param>
    /// <param name="isOwn">Whether it is this one, by another image: then its watch counts alone.</param>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public bool IsAlive(RbdOwner owner, bool isOwn)
    {
        nuint count = 16;
        while (true)
        {
            nuint capacity = count;
            var watchers = (LibRbd.Watcher*)NativeMemory.AllocZeroed(capacity, (nuint)sizeof(LibRbd.Watcher));
            try
            {
                int result = LibRbd.ListWatchers(image, watchers, ref count);
                if (result == TooSmall && count <= MaxWatchers)
                {
                    continue;
                }

                RbdErrors.Check(result, $"cannot list the clients of '{name}'");
                bool isAlive = false;
                for (nuint i = 0; i < count; i++)
                {
                    isAlive |= watchers[i].Id == owner.Id && (!isOwn || watchers[i].Cookie == owner.Watch);
                }

                LibRbd.FreeWatchers(watchers, count);
                return isAlive;
            }
            finally
            {
                NativeMemory.Free(watchers);
            }
        }
    }
}
