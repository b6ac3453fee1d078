namespace Paddock.Nvme.Pcie;

/// <summary>
/// Storage of the doorbells, which the host may write directly if it has mapped the page: then no write is reported, and the controller
/// looks at the values from time to time. Thread-safe; usable until <see cref="PcieController.DisposeAsync"/> has returned.
/// </summary>
internal interface IDoorbells
{
    /// <summary>Returns the value at an index: twice the queue for the tail of a submission queue, one more for the head of a completion
    /// queue.</summary>
    uint Read(int index);

    /// <summary>Sets the value at an index.</summary>
    void Write(int index, uint value);
}
