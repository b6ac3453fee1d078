using Paddock.Nvme.Pcie;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Counts interrupts.</summary>
internal sealed class InterruptDouble(int vectors = 64) : IInterrupts
{
    private readonly int[] _raised = new int[vectors];
    private volatile bool _pin;

    public bool IsMessageSignalled { get; set; } = true;

    /// <summary>The level of the pin.</summary>
    public bool Pin => _pin;

    /// <summary>Interrupts of a vector so far.</summary>
    public int Of(int vector) => Volatile.Read(ref _raised[vector]);

    public void Raise(int vector) => Interlocked.Increment(ref _raised[vector]);

    public void SetPin(bool asserted) => _pin = asserted;

    /// <summary>The level at the last completed unmasking; null before.</summary>
    public bool? PinAtUnmask { get; set; }

    public void UnmaskPin() => PinAtUnmask = _pin;
}
