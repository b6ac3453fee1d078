using System.Globalization;
using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>What is done with the lock of an image in several steps.</summary>
internal static class RbdLockCalls
{
    /// <summary>The client that has the lock.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public static async Task<LockHolder> HolderAsync(HeaderLock header, string name)
    {
        var (result, holder) = await header.ReadAsync();
        RbdErrors.Check(result, $"cannot read the lock of '{name}'");
        return holder;
    }

    /// <summary>The client that has the lock; null if none has. The image is open for writing.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    public static async Task<RbdOwner?> FindOwnerAsync(this RbdLock exclusive)
    {
        while (true)
        {
            // number and address come from two calls: they belong together if the holder is the same afterwards
            var holder = await exclusive.ReadHolderAsync();
            if (holder.Client == 0)
            {
                return null;
            }

            string address = await Task.Run(exclusive.ReadAddress);
            if (await exclusive.ReadHolderAsync() == holder)
            {
                return new RbdOwner(holder.Client, address, holder.Watch);
            }
        }
    }

    /// <summary>Acquires the lock for as long as the image is open for writing.</summary>
    /// <param name="exclusive">The lock.</param>
    /// <param name="ownId">Number of this client.</param>
    /// <param name="name">Name of the image, for messages.</param>
    /// <returns>This client as the holder of the lock, and whether the lock of a dead one was broken.</returns>
    /// <exception cref="BlockException">Another client has it (<see cref="BlockError.Busy"/>): the message names the client.</exception>
    public static async Task<(RbdOwner Self, bool IsTakenOver)> AcquireAsync(this RbdLock exclusive, long ownId, string name)
    {
        var before = await exclusive.FindOwnerAsync();
        if (before is not null && await Task.Run(() => exclusive.IsAlive(before, isOwn: before.Id == ownId)))
        {
            throw Refusal(name, before);
        }

        bool isAcquired = await Task.Run(exclusive.Acquire);
        var now = await exclusive.FindOwnerAsync();
        return isAcquired && now?.Id == ownId ? (now, before is not null) : throw Refusal(name, now);
    }

    private static BlockException Refusal(string name, RbdOwner? owner)
        => new(
            BlockError.Busy,
            $"'{name}' is in use by {owner?.ToString() ?? "another client"}, which holds its exclusive lock: stop that process, or open "
            + "the image for reading only") { Errno = 16 };
}

/// <summary>A client that has a lock.</summary>
/// <param name="Id">The number in its name, client.NUMBER; -1 if it has another name.</param>
/// <param name="Address">Its address, IP:PORT/NONCE.</param>
/// <param name="Watch">The number of its watch of the image; 0 if it is not known.</param>
internal sealed record RbdOwner(long Id, string Address, ulong Watch)
{
    public override string ToString()
    {
        string client = Id < 0 ? "another client" : string.Create(CultureInfo.InvariantCulture, $"client.{Id}");
        return Address.Length > 0 ? $"{client} at {Address}" : client;
    }
}
