using System.Collections.Frozen;
using Paddock.Block;

namespace Paddock.Faults;

/// <summary>Event names passed to <see cref="IStorage.OnEventAsync"/>: those of QEMU's blkdebug, and two of the zone table.</summary>
internal static class FaultEvents
{
    /// <summary>Raised once, when a <see cref="FaultStorage"/> is created.</summary>
    public const string None = "none";

    /// <summary>Before a write reaches the storage; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string Write = "pwritev";

    /// <summary>Before a write of zeroes reaches the storage; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string WriteZeroes = "pwritev_zero";

    /// <summary>After a write of either kind, failed or not; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string WriteDone = "pwritev_done";

    /// <summary>In a storage with an alignment: before the first block is read for a write that covers it in part.</summary>
    public const string RmwHead = "pwritev_rmw_head";

    /// <summary>After the first block has been read.</summary>
    public const string RmwAfterHead = "pwritev_rmw_after_head";

    /// <summary>Before the last block is read.</summary>
    public const string RmwTail = "pwritev_rmw_tail";

    /// <summary>After the last block has been read.</summary>
    public const string RmwAfterTail = "pwritev_rmw_after_tail";

    /// <summary>Before a filter writes what it read from a backing image; raised by the filter.</summary>
    public const string CopyOnRead = "cor_write";

    private static readonly FrozenSet<string> Raised = new[]
    {
        None, Write, WriteZeroes, WriteDone, RmwHead, RmwAfterHead, RmwTail, RmwAfterTail,
        "l1_update", "l1_grow_alloc_table", "l1_grow_write_table", "l1_grow_activate_table",
        "l1_shrink_write_table", "l1_shrink_free_l2_clusters",
        "l2_load", "l2_update", "l2_update_compressed", "l2_alloc_cow_read", "l2_alloc_write",
        "read_aio", "read_backing_aio", "read_compressed", "write_aio", "write_compressed", "cow_read", "cow_write",
        "reftable_load", "reftable_grow", "refblock_load", "refblock_update_part",
        "refblock_alloc", "refblock_alloc_hookup", "refblock_alloc_write",
        "refblock_alloc_write_blocks", "refblock_alloc_write_table", "refblock_alloc_switch_table",
        "cluster_alloc", "cluster_alloc_bytes", "cluster_alloc_space", "cluster_free",
        "flush_to_os", "flush_to_disk",
        "zone_table_load", "zone_table_update",
    }.ToFrozenSet(StringComparer.Ordinal);

    // raised by filters above the storage
    private static readonly FrozenSet<string> OfFilters = new[] { CopyOnRead }.ToFrozenSet(StringComparer.Ordinal);

    // this engine has no saved machine states and no emptying of an image; QEMU itself never raises refblock_update
    private static readonly FrozenSet<string> OfQemuAlone = new[]
    {
        "vmstate_load", "vmstate_save", "empty_image_prepare", "reftable_update", "refblock_update",
    }.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Every event that can be raised, in no order.</summary>
    public static IReadOnlyCollection<string> All => Raised;

    /// <summary>Events of QEMU that are never raised here, in no order: rules and breakpoints may name them, but never match.</summary>
    public static IReadOnlyCollection<string> NeverRaised => OfQemuAlone;

    /// <summary>Whether a rule or a breakpoint may name this event.</summary>
    public static bool IsKnown(string name) => Raised.Contains(name) || OfFilters.Contains(name) || OfQemuAlone.Contains(name);
}
