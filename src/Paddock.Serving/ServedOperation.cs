namespace Paddock.Serving;

/// <summary>Operations by which all servers count requests.</summary>
internal enum ServedOperation
{
    /// <summary>Reads data.</summary>
    Read,

    /// <summary>Writes data.</summary>
    Write,

    /// <summary>Zone append.</summary>
    Append,

    /// <summary>Makes data durable.</summary>
    Flush,

    /// <summary>Reports or changes the state of zones.</summary>
    Zone,

    /// <summary>Discards data (trim, deallocate).</summary>
    Trim,

    /// <summary>Writes zeroes.</summary>
    Zeroes,

    /// <summary>Any other operation on the disk.</summary>
    Other,

    /// <summary>Concerns the connection or the controller, not the disk.</summary>
    Admin,
}
