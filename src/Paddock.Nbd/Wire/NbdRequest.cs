namespace Paddock.Nbd.Wire;

/// <summary>A request, with a compact or an extended header.</summary>
/// <param name="Flags">Command flags.</param>
/// <param name="Command">Command.</param>
/// <param name="Cookie">The client's identifier, repeated in the reply.</param>
/// <param name="Offset">Offset in the export.</param>
/// <param name="Length">Length in bytes; payload length if <see cref="CommandFlags.PayloadLength"/> is set.</param>
internal readonly record struct NbdRequest(CommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, ulong Length);
