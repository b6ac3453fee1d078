using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Ana;

/// <summary>Which admin commands are affected by a group that is not accessible (NVMe base 2.0, 8.1.2.7).</summary>
/// <remarks>
/// Identify and the logs are read as always. Commands that need the disk are rejected with the status of the state, as I/O commands are.
/// </remarks>
internal static class AccessCheck
{
    private const uint AllNamespaces = 0xFFFFFFFF;

    /// <summary>Status of a command for one namespace, or for all that are attached to the controller.</summary>
    public static NvmeStatus Of(Controller controller, uint namespaceId)
    {
        if (namespaceId != AllNamespaces)
        {
            return controller.Subsystem.Find(namespaceId)?.AccessRefusal ?? NvmeStatus.Success;
        }

        foreach (var ns in controller.Attached.All)
        {
            if (ns.AccessRefusal is not NvmeStatus.Success and var refusal)
            {
                return refusal;
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>
    /// Status of Set Features: rejected for all namespaces if one cannot be used, for a lost namespace, and for a feature of a namespace
    /// that cannot be used.
    /// </summary>
    /// <param name="controller">The controller.</param>
    /// <param name="namespaceId">The namespace; 0 for features of the controller.</param>
    /// <param name="isOfNamespace">Whether each namespace has the feature for itself.</param>
    public static NvmeStatus OfSetFeatures(Controller controller, uint namespaceId, bool isOfNamespace)
        => Of(controller, namespaceId) is var refusal
            && (namespaceId == AllNamespaces || isOfNamespace || refusal == NvmeStatus.AccessPersistentLoss)
            ? refusal : NvmeStatus.Success;
}
