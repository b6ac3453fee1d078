using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Backups;
using Paddock.Server.Faults;
using Paddock.Server.Live;
using Paddock.Server.Resize;
using Paddock.Server.Snapshots;
using Paddock.Server.Standby;

namespace Paddock.Server.Control;

/// <summary>Executes the commands of the control socket.</summary>
internal sealed class ControlCommands(
    FaultCommands faults, ResizeCommands sizes, SnapshotCommands snapshots, BackupCommands backups, HandoverCommands handovers,
    LiveFeed live)
{
    /// <summary>Executes a command line.</summary>
    /// <returns>An answer of one line that begins with <c>ok</c> or <c>error: </c>.</returns>
    public async Task<string> ExecuteAsync(string line)
    {
        string answer = await RunAsync(line);
        live.LookAtAll();
        return answer;
    }

    private async Task<string> RunAsync(string asked)
    {
        var (line, isJson) = ControlAnswer.Split(asked);
        try
        {
            if (SnapshotLine.Owns(line))
            {
                return "ok: " + await snapshots.RunAsync(SnapshotLine.Parse(line));
            }

            var answer = BackupLine.Owns(line) ? await backups.RunAsync(BackupLine.Parse(line))
                : HandoverLine.Owns(line) ? await handovers.RunAsync(HandoverLine.Parse(line))
                : ResizeLine.Owns(line) ? await sizes.RunAsync(ResizeLine.Parse(line))
                : await faults.RunAsync(FaultSyntax.Parse(line));
            return answer.Format(isJson);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            return "error: " + e.Message.ReplaceLineEndings(" ");
        }
    }
}
