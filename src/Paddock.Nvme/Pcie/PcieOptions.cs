namespace Paddock.Nvme.Pcie;

/// <summary>Settings of one controller on a PCI bus; limits that both transports have are in <see cref="NvmeTargetOptions"/>.</summary>
internal sealed record PcieOptions
{
    /// <summary>Name of the host in statistics and logs.</summary>
    public string Host { get; init; } = "pcie";

    /// <summary>Interrupt vectors, from 1 to 2048: entries of the table of MSI-X.</summary>
    public int Vectors { get; init; } = 33;

    /// <summary>I/O queue pairs, from 1 to 512.</summary>
    public int IoQueues { get; init; } = 32;

    /// <summary>Longest time for which idle queues are polled before the worker sleeps; zero: not at all.</summary>
    public TimeSpan Polling { get; init; } = TimeSpan.FromMicroseconds(50);

    /// <summary>Whether shadow doorbells (Doorbell Buffer Config) are offered.</summary>
    public bool ShadowDoorbells { get; init; } = true;

    /// <summary>Doorbells that the host has mapped; null: the host writes them with <see cref="PcieController.WriteRegister"/>.</summary>
    public IDoorbells? MappedDoorbells { get; init; }
}
