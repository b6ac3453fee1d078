using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>What becomes of writes that are all zeroes.</summary>
internal enum ZeroDetection
{
    /// <summary>They are written.</summary>
    Off,

    /// <summary>They become zero ranges that keep their space.</summary>
    On,

    /// <summary>They become zero ranges whose space may be released.</summary>
    Unmap,
}

/// <summary>The options <c>discard</c> and <c>detect-zeroes</c> of a node.</summary>
/// <param name="Unmap">Whether discards free space.</param>
/// <param name="Zeroes">What becomes of writes that are all zeroes.</param>
internal readonly record struct SpacePolicy(bool Unmap, ZeroDetection Zeroes)
{
    /// <summary>Puts the policy in front of a node.</summary>
    public void Apply(ImageNode node)
    {
        if (Unmap && Zeroes == ZeroDetection.Off)
        {
            return;
        }

        if (node.IsProtocol)
        {
            node.Storage = new SpacePolicyStorage(node.Storage, this);
        }
        else
        {
            node.Device = CheckedDevice.Wrap(new SpacePolicyDevice(CheckedDevice.Unwrap(node.Device), this));
        }
    }

    /// <summary>Whether data to be written are a range of zeroes under this policy.</summary>
    public bool IsZeroes(ReadOnlyMemory<byte> data) => Zeroes != ZeroDetection.Off && !data.Span.ContainsAnyExcept((byte)0);

    /// <summary>Flags of a zero request that passes.</summary>
    public ZeroFlags Pass(ZeroFlags flags) => Unmap ? flags : flags & ~ZeroFlags.MayUnmap;

    /// <summary>Flags of the zero request that replaces a write of zeroes.</summary>
    public ZeroFlags Detected(ZeroFlags flags) => Zeroes == ZeroDetection.Unmap && Unmap ? flags | ZeroFlags.MayUnmap : flags;
}

/// <summary>A disk under a <see cref="SpacePolicy"/>.</summary>
/// <param name="device">The disk; owned.</param>
/// <param name="policy">The policy.</param>
internal sealed class SpacePolicyDevice(IBlockDevice device, SpacePolicy policy) : DelegatingDevice(device)
{
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => policy.IsZeroes(data)
            ? Inner.WriteZeroesAsync(
                offset, data.Length, policy.Detected((flags & WriteFlags.Fua) != 0 ? ZeroFlags.Fua : ZeroFlags.None), cancellationToken)
            : Inner.WriteAsync(offset, data, flags, cancellationToken);

    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(offset, length, policy.Pass(flags), cancellationToken);

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => policy.Unmap ? Inner.DiscardAsync(offset, length, cancellationToken) : default;
}

/// <summary>A storage under a <see cref="SpacePolicy"/>.</summary>
/// <param name="storage">The storage; owned.</param>
/// <param name="policy">The policy.</param>
internal sealed class SpacePolicyStorage(IStorage storage, SpacePolicy policy) : DelegatingStorage(storage)
{
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => policy.IsZeroes(data)
            ? Inner.WriteZeroesAsync(offset, data.Length, policy.Detected(ZeroFlags.None), cancellationToken)
            : Inner.WriteAsync(offset, data, cancellationToken);

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(offset, length, policy.Pass(flags), cancellationToken);

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => policy.Unmap ? Inner.DiscardAsync(offset, length, cancellationToken) : default;
}
