namespace Paddock.Nvme.Target;

/// <summary>How a host reaches a controller.</summary>
internal enum NvmeTransport
{
    /// <summary>Over TCP: one connection for each queue, fabrics commands, properties, keep alive.</summary>
    Tcp,

    /// <summary>As a PCI function: registers, queues in the host's memory, interrupts.</summary>
    Pcie,
}
