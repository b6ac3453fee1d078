using Paddock.VfioUser.Session;

namespace Paddock.VfioUser;

/// <summary>What is counted of clients.</summary>
internal readonly record struct VfioUserCounts
{
    /// <summary>Requests, such as register accesses and changes of memory.</summary>
    public long Requests { get; init; }

    /// <summary>Rejected requests.</summary>
    public long Rejected { get; init; }

    /// <summary>DMA messages.</summary>
    public long DmaMessages { get; init; }

    /// <summary>Interrupts signalled.</summary>
    public long Interrupts { get; init; }

    /// <summary>Resets of the device.</summary>
    public long Resets { get; init; }

    /// <summary>Adds the counts of a client.</summary>
    public VfioUserCounts With(ClientConnection client) => new()
    {
        Requests = Requests + client.Requests,
        Rejected = Rejected + client.RejectedRequests,
        DmaMessages = DmaMessages + client.DmaMessages,
        Interrupts = Interrupts + client.Function.Interrupts.Raised,
        Resets = Resets + client.Function.Resets,
    };
}
