using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Paddock.Block;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>
/// The exclusive lock of an image. librbd hands its lock to whoever asks, even while it is written; once it was acquired here, nobody gets
/// it, and an owner that is alive is not asked for it.
/// </summary>
internal static unsafe class RbdLock
{
    private const int ReadOnlyError = -30, TooSmall = -34, MaxList = 64 << 10;
    private const string ClientPrefix = "client.";

    /// <summary>Acquires the lock for as long as the image is open.</summary>
    /// <param name="image">The image, open for writing, with the feature exclusive-lock.</param>
    /// <param name="ownId">Number of this client.</param>
    /// <param name="name">Name for messages.</param>
    /// <exception cref="BlockException">Another client has it (<see cref="BlockError.Busy"/>): the message names the client.</exception>
    public static void Acquire(nint image, long ownId, string name)
    {
        // another image of this client has another watch
        if (FindOwner(image, name) is { } owner && IsAlive(image, owner, isOwn: owner.Id == ownId, name))
        {
            throw Refusal(name, owner);
        }

        // an owner that is dead is blocklisted by librbd before its lock is broken
        int result = LibRbd.AcquireLock(image, LibRbd.LockExclusive);
        if (result == ReadOnlyError)
        {
            throw Refusal(name, FindOwner(image, name));
        }

        RbdErrors.Check(result, $"cannot acquire the exclusive lock of '{name}'");
    }

    /// <summary>The client that has the lock and is alive, as far as the cluster knows; null if there is none.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public static RbdOwner? FindLiving(nint image, string name)
        => FindOwner(image, name) is { } owner && IsAlive(image, owner, isOwn: false, name) ? owner : null;

    /// <summary>The client that has the lock; null if none has.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public static RbdOwner? FindOwner(nint image, string name)
    {
        nuint size = 1024;
        while (true)
        {
            byte[] tag = new byte[size], clients = new byte[size], cookies = new byte[size], addresses = new byte[size];
            nuint tagSize = size, clientsSize = size, cookiesSize = size, addressesSize = size;
            nint count = LibRbd.ListLockers(
                image, out _, tag, ref tagSize, clients, ref clientsSize, cookies, ref cookiesSize, addresses, ref addressesSize);
            if (count == TooSmall && size < MaxList)
            {
                size *= 4;
                continue;
            }

            RbdErrors.Check(count, $"cannot read the lock of '{name}'");
            if (count == 0)
            {
                return null;
            }

            string client = First(clients);
            return new RbdOwner(client, First(addresses), IdOf(client), WatchOf(First(cookies)));
        }
    }

    // a client that has the image open watches its header; the watch of a dead one ends after 30 seconds
    private static bool IsAlive(nint image, RbdOwner owner, bool isOwn, string name)
    {
        nuint count = 16;
        while (true)
        {
            nuint capacity = count;
            var watchers = (LibRbd.Watcher*)NativeMemory.AllocZeroed(capacity, (nuint)sizeof(LibRbd.Watcher));
            try
            {
                int result = LibRbd.ListWatchers(image, watchers, ref count);
                if (result == TooSmall && count <= MaxList)
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

    private static BlockException Refusal(string name, RbdOwner? owner)
        => new(
            BlockError.Busy,
            $"'{name}' is in use by {owner?.ToString() ?? "another client"}, which holds its exclusive lock: stop that process, or open "
            + "the image for reading only") { Errno = 16 };

    private static string First(byte[] list) => Encoding.UTF8.GetString(list.AsSpan(0, Math.Max(Array.IndexOf(list, (byte)0), 0)));

    // the cookie of a lock is "auto NUMBER", with the number of the owner's watch
    private static ulong WatchOf(string cookie)
        => ulong.TryParse(cookie.AsSpan(cookie.LastIndexOf(' ') + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong watch)
            ? watch : 0;

    private static long IdOf(string client)
        => client.StartsWith(ClientPrefix, StringComparison.Ordinal)
            && long.TryParse(client.AsSpan(ClientPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long id) ? id : -1;
}

/// <summary>A client that has a lock.</summary>
/// <param name="Client">Its name in the cluster: client.NUMBER.</param>
/// <param name="Address">Its address, IP:PORT/NONCE.</param>
/// <param name="Id">The number in its name; -1 if it has another name.</param>
/// <param name="Watch">The number of its watch of the image; 0 if it is not known.</param>
internal sealed record RbdOwner(string Client, string Address, long Id, ulong Watch)
{
    public override string ToString() => Address.Length > 0 ? $"{Client} at {Address}" : Client;
}
