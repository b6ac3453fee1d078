using Paddock.Server;

namespace Paddock.Cli.Native;

/// <summary>How a process with a server behaves besides serving.</summary>
/// <param name="Report">Who is told when clients can connect.</param>
/// <param name="Reload">Reloads the settings on SIGHUP; null: SIGHUP stops the server.</param>
/// <param name="ExitsWithParent">Whether the end of the parent process stops the server.</param>
/// <param name="Lines">What is printed when clients can connect.</param>
/// <param name="Level">Level of the log if the settings name none.</param>
public sealed record ServeProcess(
    ReadyReport Report, Func<ServeSettings>? Reload, bool ExitsWithParent, Func<PaddockServer, IEnumerable<string>> Lines,
    LogLevel Level = LogLevel.Info)
{
    /// <summary>What a user copies: how to connect Linux, and the names of the disks.</summary>
    public static IEnumerable<string> NamesOf(PaddockServer server)
        => [
            .. server.Endpoints.Select(e => e.ConnectCommand).OfType<string>().Distinct(),
            .. server.Endpoints.Select(e => e.Uri).Distinct(),
        ];
}
