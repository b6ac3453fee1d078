namespace Paddock.Nvme.Pcie;

/// <summary>Doorbells that the host writes through the controller.</summary>
/// <param name="count">Number of doorbells.</param>
internal sealed class OwnDoorbells(int count) : IDoorbells
{
    private readonly uint[] _values = new uint[count];

    /// <inheritdoc/>
    public uint Read(int index) => Volatile.Read(ref _values[index]);

    /// <inheritdoc/>
    public void Write(int index, uint value) => Volatile.Write(ref _values[index], value);
}
