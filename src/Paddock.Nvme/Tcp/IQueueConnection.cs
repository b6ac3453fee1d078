using System.Net;
using Paddock.Nvme.Target;

namespace Paddock.Nvme.Tcp;

/// <summary>A connection, as the commands that concern it as a whole see it.</summary>
internal interface IQueueConnection : IControllerQueue
{
    /// <summary>Where the host reached us; null when that is no IP address.</summary>
    IPEndPoint? LocalAddress { get; }

    /// <summary>The connection has become a queue that may be used.</summary>
    void Admitted();

    /// <summary>The host's Connect command was rejected.</summary>
    /// <param name="host">Name of the host; null: invalid.</param>
    /// <param name="subsystem">Name of the subsystem; null: invalid.</param>
    /// <param name="why">The reason, for people.</param>
    void Rejected(string? host, string? subsystem, string why);

    /// <summary>Cancelled when the connection ends.</summary>
    CancellationToken Gone { get; }

    /// <summary>Ends the connection at once.</summary>
    /// <param name="why">The reason, for people; the first one given is kept.</param>
    void End(string why);

    /// <summary>Answers the commands in flight, gives the host time to read the answers, and ends the connection.</summary>
    /// <param name="why">The reason, for people; the first one given is kept.</param>
    void EndAfterAnswers(string why);
}
