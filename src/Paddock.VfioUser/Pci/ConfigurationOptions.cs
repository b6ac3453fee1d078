namespace Paddock.VfioUser.Pci;

/// <summary>What the configuration space describes.</summary>
/// <param name="Bar0Size">Size of BAR 0 in bytes: a power of two, at least 4096.</param>
/// <param name="Vectors">Vectors of MSI-X, up to 2048; 0: no such capability.</param>
/// <param name="TableOffset">Offset of the table of MSI-X in BAR 0.</param>
/// <param name="PendingOffset">Offset of the pending bits of MSI-X in BAR 0.</param>
/// <param name="HasPin">Whether the function has an interrupt pin (INTA).</param>
internal sealed record ConfigurationOptions(uint Bar0Size, int Vectors, uint TableOffset, uint PendingOffset, bool HasPin);
