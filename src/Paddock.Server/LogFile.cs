using System.Text;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Server;

/// <summary>A log file that is appended to, and opened again after it was renamed (logrotate).</summary>
internal sealed class LogFile : TextWriter
{
    private readonly string _path;
    private Stream _file;

    /// <exception cref="ToolException">The file cannot be opened; the message names the option.</exception>
    public LogFile(string path)
    {
        _path = path;
        _file = Open();
    }

    /// <inheritdoc/>
    public override Encoding Encoding => ByteText.Printing;

    /// <summary>Opens the file again; the previous one stays in use if that fails.</summary>
    /// <exception cref="ToolException">The file cannot be opened.</exception>
    public void Reopen()
    {
        var previous = _file;
        _file = Open();
        previous.Dispose();
    }

    /// <inheritdoc/>
    public override void Write(char value) => Write(value.ToString());

    /// <inheritdoc/>
    public override void Write(string? value)
    {
        try
        {
            _file.Write(Encoding.GetBytes(value ?? ""));
        }
        catch (IOException)
        {
            // a full disk must not stop the server; later lines are tried again
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _file.Dispose();
        base.Dispose(disposing);
    }

    private FileStream Open()
    {
        TextFileGuard.Check("--log-file", _path);
        try
        {
            return FileNames.OpenAppend(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"--log-file '{_path}': {FileErrorText.Of(e, _path)}");
        }
    }
}
