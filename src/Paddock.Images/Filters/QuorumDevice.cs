using System.Globalization;
using Paddock.Block;

namespace Paddock.Images.Filters;

/// <summary>How a quorum reads.</summary>
internal enum QuorumRead
{
    /// <summary>All disks are read, and vote.</summary>
    Vote,

    /// <summary>The first disk that can be read decides.</summary>
    First,
}

/// <summary>How a quorum decides.</summary>
/// <param name="Threshold">Disks that must agree for a read, and must succeed for a change.</param>
/// <param name="Read">How it reads.</param>
/// <param name="Rewrites">Whether disks that were outvoted are written with what the others have.</param>
/// <param name="Verifies">Whether any difference is an error that ends the program.</param>
internal readonly record struct QuorumRules(
    int Threshold, QuorumRead Read = QuorumRead.Vote, bool Rewrites = false, bool Verifies = false);

/// <summary>Several disks with the same contents as one: reads are voted on, changes go to all.</summary>
/// <param name="disks">The disks; owned.</param>
/// <param name="rules">How it decides.</param>
internal sealed class QuorumDevice(IReadOnlyList<IBlockDevice> disks, QuorumRules rules) : IBlockDevice
{
    /// <inheritdoc/>
    public long Length => disks.Min(static d => d.Length);

    /// <inheritdoc/>
    public bool IsReadOnly => disks.Any(static d => d.IsReadOnly);

    /// <inheritdoc/>
    public BlockLimits Limits => new(
        disks.Max(static d => d.Limits.RequestAlignment), disks.Min(static d => d.Limits.MaxTransfer), disks[0].Limits.OptimalTransfer);

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <summary>None: write pointers cannot be voted on.</summary>
    public IZones? Zones => null;

    public IRangeCopy? RangeCopy => null;

    public IUnreadableRanges? UnreadableRanges => null;

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (rules.Read == QuorumRead.First)
        {
            await ReadFirstAsync(offset, buffer, cancellationToken);
            return;
        }

        var copies = disks.Select(_ => new byte[buffer.Length]).ToArray();
        var failures = await OnAllAsync((disk, i) => disk.ReadAsync(offset, copies[i], cancellationToken));
        RequireEnough(failures);
        var read = Enumerable.Range(0, disks.Count).Where(i => failures[i] is null).ToArray();
        var winner = Vote(offset, copies, read);
        copies[winner[0]].CopyTo(buffer);
        if (rules.Rewrites)
        {
            foreach (int loser in read.Except(winner))
            {
                await RewriteAsync(loser, offset, copies[winner[0]], cancellationToken);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => ChangeAsync(disk => disk.WriteAsync(offset, data, flags, cancellationToken));

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => ChangeAsync(disk => disk.WriteZeroesAsync(offset, length, flags, cancellationToken));

    /// <summary>Nothing: afterwards the disks could differ.</summary>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => default;

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => ChangeAsync(disk => disk.FlushAsync(cancellationToken));

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
        int good = 0;
        BlockException? failure = null;
        foreach (var disk in disks)
        {
            try
            {
                disk.ThrowIfFlushFailed();
                good++;
            }
            catch (BlockException e)
            {
                failure = e;
            }
        }

        if (failure is not null && good < rules.Threshold)
        {
            throw failure;
        }
    }

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "Image format driver does not support resize") { Errno = 95 };

    /// <summary>Zeroes where all disks have them.</summary>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        // behind the shortest run of zeroes, the disks that win the vote may have data
        long zeroes = length, data = 0;
        foreach (var disk in disks)
        {
            var status = await WholeStatusAsync(disk, offset, length, cancellationToken);
            bool isZero = (status.Flags & BlockStatusFlags.Zero) != 0;
            zeroes = isZero ? Math.Min(zeroes, status.Length) : zeroes;
            data = isZero ? data : Math.Max(data, status.Length);
        }

        return data > 0 ? new BlockStatus(Math.Min(data, length), BlockStatusFlags.Data | BlockStatusFlags.Allocated)
            : new BlockStatus(zeroes, BlockStatusFlags.Zero | BlockStatusFlags.Allocated);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        BlockException? failure = null;
        foreach (var disk in disks)
        {
            try
            {
                await disk.DisposeAsync();
            }
            catch (BlockException e)
            {
                failure ??= e;
            }
        }

        if (failure is not null)
        {
            throw failure;
        }
    }

    // what the disk and its backing images say together
    private static async ValueTask<BlockStatus> WholeStatusAsync(
        IBlockDevice disk, long offset, long length, CancellationToken cancellationToken)
    {
        for (var layer = disk; ; layer = layer.Backing)
        {
            if (offset >= layer.Length)
            {
                return new BlockStatus(length, BlockStatusFlags.Zero);
            }

            var status = await layer.GetStatusAsync(offset, Math.Min(length, layer.Length - offset), cancellationToken);
            length = Math.Min(length, status.Length);
            if ((status.Flags & BlockStatusFlags.Allocated) != 0 || layer.Backing is null)
            {
                bool isZero = (status.Flags & (BlockStatusFlags.Allocated | BlockStatusFlags.Zero)) != BlockStatusFlags.Allocated;
                return new BlockStatus(length, isZero ? BlockStatusFlags.Zero : BlockStatusFlags.Data);
            }
        }
    }

    private async ValueTask ReadFirstAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BlockException? failure = null;
        for (int i = 0; i < disks.Count; i++)
        {
            try
            {
                await disks[i].ReadAsync(offset, buffer, cancellationToken);
                if (failure is not null && rules.Rewrites)
                {
                    for (int failed = 0; failed < i; failed++)
                    {
                        await RewriteAsync(failed, offset, buffer, cancellationToken);
                    }
                }

                return;
            }
            catch (BlockException e)
            {
                failure = e;
            }
        }

        throw failure!;
    }

    // it is an attempt: the next read votes again
    private async ValueTask RewriteAsync(int disk, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        try
        {
            if (!disks[disk].IsReadOnly)
            {
                await disks[disk].WriteAsync(offset, data, WriteFlags.None, cancellationToken);
            }
        }
        catch (BlockException)
        {
        }
    }

    private int[] Vote(long offset, byte[][] copies, int[] read)
    {
        var first = copies[read[0]];
        if (rules.Verifies)
        {
            int same = first.AsSpan().CommonPrefixLength(copies[read[^1]]);
            return same == first.Length ? read : throw new MismatchException(string.Create(
                CultureInfo.InvariantCulture,
                $"quorum: offset={offset} bytes={first.Length} contents mismatch at offset {offset + same}"));
        }

        var winner = read.GroupBy(i => Array.Find(read, j => copies[j].AsSpan().SequenceEqual(copies[i])))
            .OrderByDescending(static g => g.Count()).First().ToArray();
        return winner.Length >= rules.Threshold ? winner : throw new BlockException(
            BlockError.Io, $"offset {offset}, {first.Length} bytes: only {winner.Length} disks of the quorum agree, {rules.Threshold} must")
        {
            Errno = 5,
        };
    }

    private async ValueTask ChangeAsync(Func<IBlockDevice, ValueTask> change)
        => RequireEnough(await OnAllAsync((disk, _) => change(disk)));

    private void RequireEnough(BlockException?[] failures)
    {
        if (failures.Count(static f => f is null) < rules.Threshold)
        {
            // the failure that most have
            throw failures.OfType<BlockException>().GroupBy(static f => (f.Error, f.Errno)).MaxBy(static g => g.Count())!.First();
        }
    }

    private async ValueTask<BlockException?[]> OnAllAsync(Func<IBlockDevice, int, ValueTask> request)
    {
        var failures = new BlockException?[disks.Count];
        await Task.WhenAll(disks.Select(async (disk, i) =>
        {
            try
            {
                await request(disk, i);
            }
            catch (BlockException e)
            {
                failures[i] = e;
            }
        }));
        return failures;
    }
}
