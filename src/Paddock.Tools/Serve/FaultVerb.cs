using Paddock.Tools.Native;

namespace Paddock.Tools.Serve;

/// <summary>`paddock fault`: tells a running server to fail, delay or drop.</summary>
public static class FaultVerb
{
    /// <summary>Sends a line to the server's control socket and prints what it answers.</summary>
    public static async Task RunAsync(string socket, string line, NativeConsole console, CancellationToken cancellationToken)
        => console.Out.WriteLine(await ControlSocket.AskAsync(socket, line, cancellationToken));
}
