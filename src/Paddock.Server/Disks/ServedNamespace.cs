using Paddock.Nvme;

namespace Paddock.Server.Disks;

/// <summary>A namespace and the image that it is a part of.</summary>
/// <param name="Subsystem">Its subsystem.</param>
/// <param name="Namespace">The namespace.</param>
/// <param name="Disk">The image.</param>
/// <param name="Start">Where it begins in the image, in bytes.</param>
internal sealed record ServedNamespace(NvmeSubsystem Subsystem, NvmeNamespace Namespace, ServedDisk Disk, long Start);
