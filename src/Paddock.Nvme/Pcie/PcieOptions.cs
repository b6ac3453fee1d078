using Paddock.Serving;

namespace Paddock.Nvme.Pcie;

/// <summary>Settings of one controller on a PCI bus; limits that both transports have are in <see cref="NvmeTargetOptions"/>.</summary>
internal sealed record PcieOptions
{
    /// <summary>Most interrupt vectors, and most I/O queue pairs.</summary>
    public const int MaxVectors = 2048, MaxIoQueues = 512;

    /// <summary>Name of the host in statistics and logs.</summary>
    public string Host { get; init; } = "pcie";

    /// <summary>Interrupt vectors, from 1 to <see cref="MaxVectors"/>: entries of the table of MSI-X.</summary>
    public int Vectors { get; init; } = 33;

    /// <summary>I/O queue pairs, from 1 to <see cref="MaxIoQueues"/>.</summary>
    public int IoQueues { get; init; } = 32;

    /// <summary>Longest time for which idle queues are polled before the worker sleeps; zero: not at all.</summary>
    public TimeSpan Polling { get; init; } = TimeSpan.FromMicroseconds(50);

    /// <summary>Whether shadow doorbells (Doorbell Buffer Config) are offered.</summary>
    public bool ShadowDoorbells { get; init; } = true;

    /// <summary>Counts the completed commands and how long they took.</summary>
    public LatencyTable Latencies { get; init; } = new();

    /// <summary>
    /// The end of earlier controllers in the same slot: the controller is not ready before it, since their writes must not reach the disk
    /// after its own.
    /// </summary>
    public Task After { get; init; } = Task.CompletedTask;

    /// <summary>Doorbells that the host has mapped; null: the host writes them with <see cref="PcieController.WriteRegister"/>.</summary>
    public IDoorbells? MappedDoorbells { get; init; }
}
