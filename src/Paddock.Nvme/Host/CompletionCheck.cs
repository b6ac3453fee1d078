using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>Turns a failed completion of an admin command into an exception.</summary>
internal static class CompletionCheck
{
    /// <summary>Throws if the command failed.</summary>
    /// <param name="completion">How the command ended.</param>
    /// <param name="what">The command, for the message.</param>
    /// <exception cref="BlockException">The command failed.</exception>
    public static void Check(this in CompletionEntry completion, string what)
    {
        if (completion.Status != NvmeStatus.Success)
        {
            throw new BlockException(BlockError.Io, $"{what}: the controller says {completion.Status} ({(int)completion.Status:x3}h)");
        }
    }
}
