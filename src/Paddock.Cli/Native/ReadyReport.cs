using System.Globalization;
using System.Text;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Server;

namespace Paddock.Cli.Native;

/// <summary>Reports to the process that started a server, or to a script, that clients can connect: <c>--ready-fd</c> and files.</summary>
public sealed class ReadyReport : IDisposable
{
    private readonly InheritedDescriptor? _descriptor;
    private readonly string? _pidFile, _portFile;
    private readonly List<string> _written = [];

    private ReadyReport(InheritedDescriptor? descriptor, string? pidFile, string? portFile)
    {
        _descriptor = descriptor;
        _pidFile = pidFile;
        _portFile = portFile;
    }

    /// <summary>Checks the descriptor; files are not created yet.</summary>
    /// <param name="descriptor">Inherited descriptor that gets every URI on a line; null: none.</param>
    /// <param name="pidFile">File for the process ID; null: none.</param>
    /// <param name="portFile">File for the TCP ports, in the order of the listeners; null: none.</param>
    /// <exception cref="ToolException">The process was started without this descriptor.</exception>
    public static ReadyReport Open(int? descriptor, string? pidFile, string? portFile)
    {
        InheritedDescriptor? inherited = null;
        if (descriptor is { } number)
        {
            inherited = (number < 0 ? null : InheritedDescriptor.Take(number)) ?? throw new ToolException(
                $"--ready-fd {number}: the process was started without this file descriptor; a shell opens it with '{number}>FILE'",
                NativeExit.Usage);
        }

        return new ReadyReport(inherited, pidFile, portFile);
    }

    /// <summary>Writes the files, then to the descriptor, and closes that.</summary>
    /// <exception cref="ToolException">A file cannot be written; the message names the option.</exception>
    public void Write(PaddockServer server)
    {
        WriteFile("--pid-file", _pidFile, [Environment.ProcessId.ToString(CultureInfo.InvariantCulture)]);
        WriteFile("--port-file", _portFile, server.Ports.Select(p => p.ToString(CultureInfo.InvariantCulture)));
        if (_descriptor is not null)
        {
            _descriptor.Write(Encoding.UTF8.GetBytes(string.Concat(server.Endpoints.Select(e => e.Uri + "\n").Distinct())));
            _descriptor.Dispose();
        }
    }

    /// <summary>Removes the files.</summary>
    public void Dispose()
    {
        _descriptor?.Dispose();
        foreach (string path in _written)
        {
            FileNames.Delete(path);
        }
    }

    private void WriteFile(string option, string? path, IEnumerable<string> lines)
    {
        if (path is null)
        {
            return;
        }

        TextFileGuard.Check(option, path);
        try
        {
            FileNames.WriteAllText(path, string.Concat(lines.Select(line => line + "\n")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"{option} '{path}': {FileErrorText.Of(e, path)}");
        }

        // /dev/stdout and others are not ours to remove
        if (!Path.GetFullPath(path).StartsWith("/dev/", StringComparison.Ordinal))
        {
            _written.Add(path);
        }
    }
}
