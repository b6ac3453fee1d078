namespace Paddock.Nvme.Host;

/// <summary>The connection in use.</summary>
/// <param name="Connection">The connection; it may be lost.</param>
/// <param name="Generation">Counts the choices of a path: identifies the connection that was lost.</param>
/// <param name="Incarnation">Another number when acknowledged writes that were not flushed may be lost.</param>
internal sealed record HostRoute(ControllerConnection Connection, int Generation, int Incarnation);
