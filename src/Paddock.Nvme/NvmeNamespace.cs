using System.Security.Cryptography;
using System.Text;
using Paddock.Block;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme;

/// <summary>A block device as a namespace of a subsystem: zoned with the ZNS command set, plain with the NVM command set.</summary>
public sealed class NvmeNamespace
{
    private long _length;

    /// <param name="id">Its identifier, from 1 on.</param>
    /// <param name="device">The disk, with bounds and alignment checked; all zones of a zoned one are sequential.</param>
    /// <param name="blockSize">Bytes of a logical block: 512 or 4096.</param>
    /// <param name="name">Name for messages and statistics.</param>
    /// <exception cref="ArgumentException">The device cannot be a namespace; the message gives the reason.</exception>
    public NvmeNamespace(uint id, IBlockDevice device, int blockSize, string name)
    {
        Zones = device.Zones;
        if (blockSize is not (512 or 4096))
        {
            throw new ArgumentException($"a logical block of {blockSize} bytes: 512 and 4096 are offered");
        }

        if (Zones is { Limits: var limits } && ((limits.ZoneSize | limits.ZoneCapacity) % blockSize != 0 || limits.ConventionalZones != 0))
        {
            throw new ArgumentException(limits.ConventionalZones != 0
                ? "conventional zones, which a zoned namespace cannot have"
                : $"zones that are no multiple of the logical block of {blockSize} bytes");
        }

        if (Zones is { Limits.RandomArea: var area } && RandomAreaFields.Problem(area, blockSize) is { } problem)
        {
            throw new ArgumentException(problem);
        }

        Id = id;
        Device = device;
        Name = name;
        BlockShift = int.Log2(blockSize);
        ExtensionBytes = Zones?.Attributes?.ExtensionBytes ?? 0;
        ZoneTraffic = new ZoneTraffic(Zones?.Limits.ZoneCount ?? 0);
        _length = device.Length;
    }

    /// <summary>The identifier, from 1 on.</summary>
    public uint Id { get; }

    /// <summary>The disk.</summary>
    public IBlockDevice Device { get; }

    /// <summary>The zones of the disk; null for a plain one.</summary>
    public IZones? Zones { get; }

    /// <summary>Name for messages and statistics.</summary>
    public string Name { get; }

    /// <summary>Statistics of the commands of hosts. Write Zeroes counts the bytes of its range.</summary>
    internal RequestCounters Statistics { get; } = new();

    /// <summary>Statistics of writes to its zones.</summary>
    internal ZoneTraffic ZoneTraffic { get; }

    /// <summary>Holds commands before <see cref="Device"/>; null if none does: then no command can be aborted.</summary>
    internal IHeldRequests? HeldRequests { get; init; }

    /// <summary>
    /// The globally unique identifier of a namespace that a host has created: another one with the same number must not be taken for it.
    /// Null: derived from the names of subsystem and namespace.
    /// </summary>
    internal Guid? Unique { get; init; }

    /// <summary>A globally unique identifier; set when the namespace joins its subsystem.</summary>
    public Guid Identifier { get; private set; }

    /// <summary>Status of commands while its group is not accessible; success while it is, and without a group.</summary>
    internal NvmeStatus AccessRefusal => AnaGroup?.Refusal ?? NvmeStatus.Success;

    internal int BlockShift { get; private set; }

    internal int BlockSize => 1 << BlockShift;

    /// <summary>Whether it can be attached to one controller only.</summary>
    internal bool IsPrivate { get; init; }

    /// <summary>Whether its host has created it for several controllers.</summary>
    internal bool IsShared { get; init; }

    /// <summary>
    /// The namespaces, this one among them, whose access state changes as one; null: it has a single path, and is always accessible.
    /// </summary>
    internal AnaGroup? AnaGroup { get; init; }

    /// <summary>Whether Format NVM can change its block size: that is recorded where the disk is.</summary>
    internal bool CanChangeFormat { get; init; }

    /// <summary>What a running Format NVM command has left to do, in percent; 0: none is running.</summary>
    internal byte FormatPercentLeft { get; set; }

    /// <summary>Keeps I/O commands out while the namespace is formatted or deleted.</summary>
    internal NamespaceClosing Closing { get; } = new();

    /// <summary>Bytes that can be written: without the end of zones, beyond their capacity.</summary>
    internal long CapacityBytes => Zones?.Limits is not { } limits ? Device.Length
        : (Device.Length / limits.ZoneSize * limits.ZoneCapacity) + Math.Min(Device.Length % limits.ZoneSize, limits.ZoneCapacity);

    internal ulong Blocks => (ulong)(Device.Length >> BlockShift);

    internal byte CommandSet => Zones is null ? IdentifyNamespace.NvmCommandSet : IdentifyNamespace.ZonedCommandSet;

    internal int ExtensionBytes { get; }

    /// <summary>Changes the block size. No I/O command may be inside.</summary>
    internal void SetBlockShift(int shift) => BlockShift = shift;

    /// <summary>Reads the size of the disk, and adjusts the number of counted zones.</summary>
    /// <returns>Whether the size has changed since the previous call.</returns>
    internal bool TakeSize()
    {
        ZoneTraffic.Resize(Zones?.Limits.ZoneCount ?? 0);
        long length = Device.Length;
        return Interlocked.Exchange(ref _length, length) != length;
    }

    /// <summary>Ends the wait of a command that a rule holds; without rules a command runs to its end.</summary>
    internal CancellationToken TokenOf(Command command) => HeldRequests is null ? CancellationToken.None : command.Cancellation.Token;

    // the same image under the same name keeps its identifier, so that a reconnecting host recognizes it
    internal void Join(string subsystem)
    {
        if (Unique is { } unique)
        {
            Identifier = unique;
            return;
        }

        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{subsystem}\n{Id}"), hash);
        hash[6] = (byte)((hash[6] & 0x0F) | 0x80);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        Identifier = new Guid(hash[..16], bigEndian: true);
    }
}
