using System.Globalization;
using System.Runtime.InteropServices;

namespace Paddock.Compat.Img;

/// <summary>How a copy shows its progress.</summary>
internal enum ProgressForm
{
    /// <summary>Only when a SIGUSR1 asks for it, on standard error.</summary>
    None,

    /// <summary>A line that is rewritten, on standard output.</summary>
    Text,

    /// <summary>Lines of JSON for programs, on standard error.</summary>
    Json,
}

/// <summary>Shows how far a copy is.</summary>
internal sealed class CopyProgress : IDisposable
{
    private const int SignalUser1 = 10;

    private readonly ToolContext _ctx;
    private readonly ProgressForm _form;
    private readonly long _length;
    private readonly PosixSignalRegistration? _signal;
    private double _shown = double.NegativeInfinity;
    private int _isAsked;

    /// <param name="ctx">Streams.</param>
    /// <param name="form">The form.</param>
    /// <param name="length">Bytes of the source.</param>
    public CopyProgress(ToolContext ctx, ProgressForm form = ProgressForm.Text, long length = 0)
    {
        (_ctx, _form, _length) = (ctx, form, length);
        _signal = form == ProgressForm.None && OperatingSystem.IsLinux()
            ? PosixSignalRegistration.Create((PosixSignal)SignalUser1, Ask) : null;
    }

    /// <summary>Shows data copied, where steps of a percent are reached.</summary>
    public void Show(long copied, long total)
    {
        double percent = total == 0 ? 0 : copied * 100.0 / total;
        if ((percent == 0 || percent >= 100 || percent > _shown + 1) && (copied > 0 || _shown < 0))
        {
            _shown = percent;
            Print(copied, total, percent);
        }
    }

    /// <summary>The copy has reached an offset of the source.</summary>
    public void Reach(long offset)
    {
        if (_signal is not null && Interlocked.Exchange(ref _isAsked, 0) != 0)
        {
            _ctx.Error.Write(string.Create(CultureInfo.InvariantCulture, $"    ({offset * 100.0 / Math.Max(1, _length):F2}/100%)\n"));
            _ctx.Error.Flush();
        }
    }

    /// <summary>The copy is complete.</summary>
    public void End()
    {
        if (_form == ProgressForm.Text)
        {
            _ctx.Out.Write("    (100.00/100%)\r\n");
        }
    }

    /// <summary>Ends the line of something that failed.</summary>
    public void Break() => _ctx.Out.Write("\n");

    /// <inheritdoc/>
    public void Dispose() => _signal?.Dispose();

    private void Print(long copied, long total, double percent)
    {
        if (_form == ProgressForm.Json)
        {
            _ctx.Error.Write(string.Create(
                CultureInfo.InvariantCulture, $"{{\"copied\": {copied}, \"total\": {total}, \"percent\": {percent:F2}}}\n"));
            _ctx.Error.Flush();
            return;
        }

        _ctx.Out.Write(string.Create(CultureInfo.InvariantCulture, $"    ({percent:F2}/100%)\r"));
        _ctx.Out.Flush();
    }

    private void Ask(PosixSignalContext context)
    {
        context.Cancel = true;
        Volatile.Write(ref _isAsked, 1);
    }
}
