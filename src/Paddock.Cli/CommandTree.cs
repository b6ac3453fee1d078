using System.CommandLine;
using System.CommandLine.Help;
using Paddock.Cli.Native;
using Paddock.Cli.Verbs;

namespace Paddock.Cli;

/// <summary>The command tree and the examples in its help.</summary>
public static class CommandTree
{
    /// <summary>Builds the command tree; actions print to <paramref name="console"/>.</summary>
    public static RootCommand Build(NativeConsole console)
    {
        var root = new RootCommand("Creates, checks and serves qcow2 images with and without zones.")
        {
            CreateCommand.Build(console),
            CloneCommand.Build(console),
            InspectCommands.Info(console),
            ZonesCommand.Build(console),
            ZoneCommands.Zone(console),
            ZoneCommands.Append(console),
            ZoneCommands.Read(console),
            InspectCommands.Check(console),
            ServeCommand.Serve(console),
            DiscoverCommand.Build(console),
            RunCommand.Build(console),
            FarmCommand.Build(console),
            FaultCommand.Create(console),
            ResizeCommand.Create(console),
            BackupCommand.Create(console),
            SnapshotCommand.Create(console),
            HandoverCommand.Create(console),
            KeyCommand.Generate(console),
            BenchCommand.Build(console),
            OtherCommands.Demo(console),
            OtherCommands.Completion(console),
            HelpCommand.Help(console),
            HelpCommand.Version(console),
            OtherCommands.Compatible("img", "Drop-in replacement for qemu-img (same options, same output)."),
            OtherCommands.Compatible("io", "Drop-in replacement for qemu-io (same options, same output)."),
            OtherCommands.Compatible("nbd", "Drop-in replacement for qemu-nbd (same options, same output)."),
        };
        Sizes.CheckIn(root);
        root.Options.OfType<VersionOption>().Single().Aliases.Add("-V");
        foreach (var help in root.Options.OfType<HelpOption>())
        {
            // without a width, the library initializes the terminal to ask for it
            var usual = (HelpAction)help.Action!;
            usual.MaxWidth = console.OutputIsTerminal ? console.Width : int.MaxValue;
            help.Action = new HelpWithExamples(usual);
        }

        return root;
    }

    /// <summary>Examples for a command, one per line.</summary>
    public static string[] ExamplesOf(Command command)
        => CommandExamples.Of(PathOf(command)["paddock".Length..].TrimStart());

    /// <summary>Help text between a command's options and its examples.</summary>
    public static string[] DetailsOf(Command command) => command.Name switch
    {
        "clone" => CloneCommand.Details,
        "zones" => ZonesCommand.Details,
        "bench" => BenchCommand.Details,
        "serve" => ServeCommand.Details,
        "run" => RunCommand.Details,
        "farm" => FarmCommand.Details,
        "fault" => FaultCommand.Details,
        "resize" => ResizeCommand.Details,
        "backup" => BackupCommand.Details,
        "snapshot" => SnapshotCommand.Details,
        "handover" => HandoverCommand.Details,
        _ => [],
    };

    /// <summary>Full name of a command, starting with <c>paddock</c>.</summary>
    public static string PathOf(Command command)
        => command is RootCommand ? "paddock" : PathOf(command.Parents.OfType<Command>().First()) + " " + command.Name;
}
