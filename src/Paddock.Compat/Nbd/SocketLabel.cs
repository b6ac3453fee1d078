using System.Text;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Nbd;

/// <summary>The SELinux label of sockets that this thread creates until it is disposed.</summary>
internal sealed class SocketLabel : IDisposable
{
    private const string Attribute = "/proc/thread-self/attr/sockcreate";

    /// <exception cref="ToolException">The kernel rejects the label, or has no SELinux.</exception>
    public SocketLabel(string label)
    {
        if (Write(label + "\0") is { } why)
        {
            throw new ToolException($"Cannot set SELinux socket create context to {label}: {why}");
        }
    }

    public void Dispose()
    {
        if (Write("") is { } why)
        {
            throw new ToolException($"Cannot clear SELinux socket create context: {why}");
        }
    }

    private static string? Write(string text)
    {
        try
        {
            using var file = new FileStream(Attribute, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            file.Write(Encoding.UTF8.GetBytes(text));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e is UnauthorizedAccessException ? "Permission denied"
                : e is FileNotFoundException or DirectoryNotFoundException ? "No such file or directory" : "Invalid argument";
        }
    }
}
