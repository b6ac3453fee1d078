using Paddock.Cli;
using Paddock.Cli.Native;
using Paddock.Posix;

ProcessSetup.Run();
args = FileNames.ExactArguments(args);

// the compatible tools come first and touch nothing else: test suites start them thousands of times
if (args.Length > 0 && await CompatibleTools.TryRunAsync(args) is { } code)
{
    return code;
}

return await NativeTools.RunAsync(args, NativeConsole.ForProcess());
