using Paddock.Images;
using Paddock.Server.Standby;

namespace Paddock.Cli.Native;

/// <summary>`paddock handover`: has a running server release an image for another one.</summary>
public static class HandoverVerb
{
    /// <summary>Sends the command to the control socket and prints the answer, which comes when the image has been released.</summary>
    /// <param name="socket">The control socket.</param>
    /// <param name="image">Name or path of the image; null: all that the server owns.</param>
    /// <param name="json">Whether to print the answer as JSON.</param>
    /// <param name="console">Receives the answer.</param>
    /// <param name="cancellationToken">Cancels waiting, not the command.</param>
    /// <exception cref="ToolException">No server, or it could not hand the image over; it then serves it as before.</exception>
    public static Task RunAsync(string socket, string? image, bool json, NativeConsole console, CancellationToken cancellationToken)
        => ControlVerb.RunAsync(socket, new HandoverLine(image).Format(), json, console, cancellationToken);
}
