using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>The completion of a command, and the server that sent it.</summary>
/// <param name="Completion">The completion.</param>
/// <param name="Incarnation">
/// The incarnation of the connection that the command was sent on (<see cref="HostRoute.Incarnation"/>): a command that is sent again has
/// that of the latest attempt.
/// </param>
internal readonly record struct HostAnswer(CompletionEntry Completion, int Incarnation)
{
    /// <summary>The status.</summary>
    public NvmeStatus Status => Completion.Status;

    /// <summary>What the command returns.</summary>
    public ulong Result => Completion.Result;
}
