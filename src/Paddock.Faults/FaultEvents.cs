using System.Collections.Frozen;
using Paddock.Block;

namespace Paddock.Faults;

/// <summary>The names that <see cref="IStorage.OnEventAsync"/> is told: those of QEMU's blkdebug, and the zone table's own.</summary>
internal static class FaultEvents
{
    /// <summary>Happens once, when a <see cref="FaultStorage"/> is made.</summary>
    public const string None = "none";

    /// <summary>Before a write reaches the storage; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string Write = "pwritev";

    /// <summary>Before a write of zeroes reaches the storage; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string WriteZeroes = "pwritev_zero";

    /// <summary>After a write of either kind, failed or not; raised by <see cref="FaultStorage"/> itself.</summary>
    public const string WriteDone = "pwritev_done";

    private static readonly FrozenSet<string> Known = new[]
    {
        None, Write, WriteZeroes, WriteDone,
        "l1_update", "l1_grow_alloc_table", "l1_grow_write_table", "l1_grow_activate_table",
        "l1_shrink_write_table", "l1_shrink_free_l2_clusters",
        "l2_load", "l2_update", "l2_update_compressed", "l2_alloc_cow_read", "l2_alloc_write",
        "read_aio", "read_backing_aio", "read_compressed", "write_aio", "write_compressed",
        "vmstate_load", "vmstate_save", "cow_read", "cow_write", "cor_write",
        "reftable_load", "reftable_grow", "reftable_update",
        "refblock_load", "refblock_update", "refblock_update_part",
        "refblock_alloc", "refblock_alloc_hookup", "refblock_alloc_write",
        "refblock_alloc_write_blocks", "refblock_alloc_write_table", "refblock_alloc_switch_table",
        "cluster_alloc", "cluster_alloc_bytes", "cluster_alloc_space", "cluster_free",
        "flush_to_os", "flush_to_disk", "empty_image_prepare",
        "pwritev_rmw_head", "pwritev_rmw_after_head", "pwritev_rmw_tail", "pwritev_rmw_after_tail",
        "zone_table_load", "zone_table_update",
    }.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Every name, in no order.</summary>
    public static IReadOnlyCollection<string> All => Known;

    /// <summary>True for a name that a rule may wait for.</summary>
    public static bool IsKnown(string name) => Known.Contains(name);
}
