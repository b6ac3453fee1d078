using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Cli.Native;

/// <summary>Common part of the verbs that send a command to a server's control socket.</summary>
internal static class ControlVerb
{
    /// <summary>Sends a command and prints the answer.</summary>
    /// <param name="socket">The control socket.</param>
    /// <param name="line">The command.</param>
    /// <param name="json">Whether to print the answer as JSON.</param>
    /// <param name="console">Receives the answer.</param>
    /// <param name="cancellationToken">Cancels waiting, not the command.</param>
    /// <exception cref="ToolException">No server, or the server rejected the command.</exception>
    public static async Task RunAsync(string socket, string line, bool json, NativeConsole console, CancellationToken cancellationToken)
        => console.Out.WriteLine(await (json ? ControlSocket.AskJsonAsync(socket, line, cancellationToken)
            : ControlSocket.AskAsync(socket, line, cancellationToken)));
}
