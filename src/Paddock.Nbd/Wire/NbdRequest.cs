namespace Paddock.Nbd.Wire;

/// <summary>A request, whichever header it came in.</summary>
/// <param name="Flags">How it is wanted.</param>
/// <param name="Command">What is wanted.</param>
/// <param name="Cookie">The client's own number, which the reply carries.</param>
/// <param name="Offset">Where in the export.</param>
/// <param name="Length">Bytes there, or payload length if <see cref="CommandFlags.PayloadLength"/> is set.</param>
internal readonly record struct NbdRequest(CommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, ulong Length);
