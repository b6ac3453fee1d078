using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>What a controller offers depending on its transport.</summary>
/// <param name="Transport">How the host reaches it.</param>
/// <param name="IoQueues">I/O queues of the host.</param>
internal sealed record ControllerTraits(NvmeTransport Transport, int IoQueues)
{
    /// <summary>Interrupt vectors; 0 on a transport without interrupts.</summary>
    public int Vectors { get; init; }

    /// <summary>Admin commands that only this transport has.</summary>
    public IEnumerable<byte> AdminCommands => Transport == NvmeTransport.Tcp ? [AdminOpcode.KeepAlive]
        :
        [
            AdminOpcode.DeleteIoSubmissionQueue, AdminOpcode.CreateIoSubmissionQueue, AdminOpcode.DeleteIoCompletionQueue,
            AdminOpcode.CreateIoCompletionQueue, .. ShadowDoorbells ? [AdminOpcode.DoorbellBufferConfig] : Array.Empty<byte>(),
        ];

    /// <summary>Whether shadow doorbells (Doorbell Buffer Config) are offered.</summary>
    public bool ShadowDoorbells { get; init; }
}
