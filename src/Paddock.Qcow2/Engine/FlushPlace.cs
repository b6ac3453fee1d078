namespace Paddock.Qcow2.Engine;

/// <summary>The places of a flush, in the order in which <see cref="FlushOrder"/> writes them.</summary>
internal enum FlushPlace
{
    /// <summary>Changes in place that failed before: the header and other structures get the contents that memory has.</summary>
    InPlace,

    /// <summary>Reference counts that went up, and the refcount table.</summary>
    Refcounts,

    /// <summary>L2 tables, which refer to data and to counted clusters.</summary>
    L2,

    /// <summary>The L1 table, which refers to L2 tables.</summary>
    L1,

    /// <summary>What zones have beside their write pointers. It must be durable before pointers rise.</summary>
    ZoneAttributes,

    /// <summary>Write pointers, which vouch for the data below them.</summary>
    ZoneTable,

    /// <summary>Clusters that nothing durable refers to any more.</summary>
    FreedSpace,
}
