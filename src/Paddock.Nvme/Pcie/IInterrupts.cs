namespace Paddock.Nvme.Pcie;

/// <summary>The interrupts of a PCI function.</summary>
internal interface IInterrupts
{
    /// <summary>Whether MSI-X is enabled; otherwise the pin is used.</summary>
    bool IsMessageSignalled { get; }

    /// <summary>
    /// Signals a vector of MSI-X. Called on any thread; never blocks, allocates nothing, does nothing for a vector without a descriptor.
    /// </summary>
    void Raise(int vector);

    /// <summary>Sets the level of INTx, which is used only while MSI-X is off. Called on any thread; never blocks.</summary>
    void SetPin(bool asserted);

    /// <summary>
    /// Completes an unmasking of INTx, if there is one: the level now follows what the host had read when it unmasked the pin. Called on
    /// any thread; never blocks.
    /// </summary>
    void UnmaskPin();
}
