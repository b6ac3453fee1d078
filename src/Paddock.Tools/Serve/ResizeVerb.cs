using Paddock.Tools.Native;
using Paddock.Tools.Serve.Resize;

namespace Paddock.Tools.Serve;

/// <summary>`paddock resize`: has a running server change the size of an image that it serves.</summary>
public static class ResizeVerb
{
    /// <summary>Sends the change to the server's control socket and prints what it answers.</summary>
    /// <param name="socket">The control socket.</param>
    /// <param name="image">The image's name or path; null: the only one.</param>
    /// <param name="size">The new size, in qemu-img's words.</param>
    /// <param name="shrink">Whether it may become smaller.</param>
    /// <param name="preallocation">Off, metadata, falloc or full; null: off.</param>
    /// <param name="json">Print the answer as JSON.</param>
    /// <param name="console">Takes the answer.</param>
    /// <param name="cancellationToken">Ends the wait, not the change.</param>
    /// <exception cref="ToolException">The words are wrong (exit code 64), or the server is not there or refuses.</exception>
    public static async Task RunAsync(
        string socket, string? image, string size, bool shrink, string? preallocation, bool json, NativeConsole console, CancellationToken cancellationToken)
    {
        string answer = await ControlSocket.AskAsync(socket, LineOf(image, size, shrink, preallocation), cancellationToken);
        console.Out.WriteLine(json ? JsonText.Compact(new QDict().With("answer", answer)) : answer);
    }

    private static string LineOf(string? image, string size, bool shrink, string? preallocation)
    {
        try
        {
            SizeChange.Parse(size);
            var reserved = PreallocationName.Parse(preallocation) ?? throw new ToolException($"Invalid preallocation mode '{preallocation}'");
            return new ResizeLine(size.Trim(), image, shrink, reserved).Format();
        }
        catch (ToolException e)
        {
            throw new ToolException(e.Message.ReplaceLineEndings(" "), NativeExit.Usage);
        }
    }
}
