using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Resize;

namespace Paddock.Cli.Native;

/// <summary>`paddock resize`: resizes an image of a running server.</summary>
public static class ResizeVerb
{
    /// <summary>Sends the command to the server's control socket and prints the answer.</summary>
    /// <param name="socket">The control socket.</param>
    /// <param name="image">Name or path of the image; null: the only one.</param>
    /// <param name="size">The new size, in qemu-img's syntax.</param>
    /// <param name="shrink">Whether shrinking is allowed.</param>
    /// <param name="preallocation">Off, metadata, falloc or full; null: off.</param>
    /// <param name="json">Whether to print the answer as JSON.</param>
    /// <param name="console">Receives the answer.</param>
    /// <param name="cancellationToken">Cancels waiting, not the command.</param>
    /// <exception cref="ToolException">Invalid arguments (exit code 64), no server, or the server rejected the command.</exception>
    public static async Task RunAsync(
        string socket, string? image, string size, bool shrink, string? preallocation, bool json, NativeConsole console,
        CancellationToken cancellationToken)
    {
        string line = LineOf(image, size, shrink, preallocation);
        await ControlVerb.RunAsync(socket, line, json, console, cancellationToken);
    }

    private static string LineOf(string? image, string size, bool shrink, string? preallocation)
    {
        try
        {
            size = SizeText.WithoutUnit(size.Trim());
            CheckSize(size);
            var reserved = PreallocationName.Parse(preallocation)
                ?? throw new ToolException($"--preallocation {preallocation}: expected off, metadata, falloc or full");
            return new ResizeLine(size, image, shrink, reserved).Format();
        }
        catch (ToolException e)
        {
            throw new ToolException(e.Message, NativeExit.Usage);
        }
    }

    private static void CheckSize(string size)
    {
        try
        {
            SizeChange.Parse(size);
        }
        catch (ToolException)
        {
            throw new ToolException(
                $"size '{size}': expected bytes or a number with suffix k, M, G, T, P or E, such as 64M, +16GiB or -1G");
        }
    }
}
