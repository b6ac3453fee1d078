using System.CommandLine;
using Paddock.Tools.Native;
using Paddock.Tools.Serve;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock serve`.</summary>
internal static class ServeCommand
{
    public static Command Serve(NativeConsole console)
    {
        var options = new ServeOptions();
        var command = new Command(
            "serve",
            "Serves images over NVMe/TCP, NBD and vhost-user until it is asked to stop (SIGINT, SIGTERM; SIGHUP without a configuration file).");
        options.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var settings = options.SettingsOf(parsed);
            if (options.IsCheck(parsed))
            {
                ServeCheck.Run(settings, console.Out);
                return NativeExit.Success;
            }

            Func<ServeSettings>? reload = options.HasFiles(parsed) ? () => options.SettingsOf(parsed) : null;
            return await ServeVerb.RunAsync(settings, reload, console, cancellationToken) ? NativeExit.Success : NativeExit.Failure;
        });
        return command;
    }
}
