using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>References go one way, in tests too; native calls are in one project; a namespace is its project and folder.</summary>
public partial class ArchitectureTests
{
    private const string Prefix = "Paddock.";

    // What each project may use. A project that is missing here is new: decide what it may use, and add it to docs/ARCHITECTURE.md.
    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        ["Block"] = [],
        ["Faults"] = ["Block"],
        ["Posix"] = ["Block"],
        ["Rbd"] = ["Block", "Posix"],
        ["Zones"] = ["Block"],
        ["Crypto"] = ["Block"],
        ["Qcow2"] = ["Block", "Crypto", "Zones"],
        ["Serving"] = ["Block"],
        ["Nvme"] = ["Block", "Serving"],
        ["Nbd"] = ["Block", "Serving"],
        ["VhostUser"] = ["Block", "Posix", "Serving"],
        ["VfioUser"] = ["Block", "Posix", "Serving", "Nvme"],
        ["Images"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Nvme", "Nbd"],
        ["Compat"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Nvme", "Nbd", "Images"],
        ["Server"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Serving", "Nvme", "Nbd", "VhostUser", "VfioUser",
            "Images"],
        ["Web"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Serving", "Nvme", "Nbd", "VhostUser", "VfioUser",
            "Images", "Server"],
        ["Cli"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Serving", "Nvme", "Nbd", "VhostUser", "VfioUser",
            "Images", "Compat", "Server", "Web"],
    };

    // What X.Tests may use beyond X, what X may use, and Testing; and what else is not a product may use.
    private static readonly Dictionary<string, string[]> TestsMayUse = new()
    {
        ["Testing"] = ["Block", "Zones"],
        ["Testing.Protocols"] = ["Block", "Faults", "Posix", "Qcow2", "Serving", "Nvme", "Nbd", "VhostUser", "VfioUser",
            "Testing"],
        // servers that hand over an image in a cluster
        ["Sim"] = ["Block", "Faults", "Posix", "Rbd", "Zones", "Crypto", "Qcow2", "Images", "Testing"],
        // the sources of the vfio-user client are compiled into both
        ["Bench"] = ["Block", "Posix", "Crypto", "Qcow2", "Serving", "Nvme", "VfioUser", "Testing.Protocols"],
        // a client of servers that are processes of their own
        ["Handover"] = ["Block", "Images", "Cli"],
        // faults stand for errors of the system, by its numbers
        ["Faults.Tests"] = ["Posix"],
        ["Qcow2.Tests"] = ["Posix", "Faults"],
        // a disk with zones to serve is an image in memory
        ["Nvme.Tests"] = ["Testing.Protocols", "Faults", "Posix", "Qcow2"],
        ["Nbd.Tests"] = ["Testing.Protocols", "Faults", "Posix", "Qcow2"],
        ["VhostUser.Tests"] = ["Testing.Protocols", "Qcow2"],
        ["VfioUser.Tests"] = ["Testing.Protocols", "Faults", "Qcow2"],
        ["Crypto.Tests"] = ["Testing.Protocols", "Posix"],
        // names are used with every tool
        ["Rbd.Tests"] = ["Testing.Protocols", "Cli", "Compat", "Images", "Qcow2", "Handover"],
        ["Compat.Tests"] = ["Testing.Protocols"],
        ["Server.Tests"] = ["Testing.Protocols"],
        ["Web.Tests"] = ["Testing.Protocols"],
        ["Cli.Tests"] = ["Testing.Protocols", "Handover"],
        ["House.Tests"] = ["Cli", "Block"],
        // the generator of the documentation asks the command lines
        ["Docs"] = ["Cli", "Compat"],
        ["Docs.Tests"] = ["Docs", "Cli"],
        // these make packages of the projects and use the packages
        ["Packages.Tests"] = ["Images", "VhostUser"],
    };

    private static readonly string[] Folders = ["src", "tests", "bench", "build"];

    private static IEnumerable<string> Projects => Folders.SelectMany(folder => Repository.Files(folder, "*.csproj"));

    [Fact]
    public void Every_project_is_in_the_table()
        => Repository.AssertNone(Projects.Select(NameOf).Where(name => AllowedTo(name) is null));

    [Fact]
    public void Project_references_go_one_way()
        => Repository.AssertNone(
            from project in Projects
            from Match reference in ProjectReference().Matches(Repository.Read(project))
            where AllowedTo(NameOf(project))?.Contains(reference.Groups[1].Value) != true
            select $"{project} refers to {reference.Groups[1].Value}");

    [Fact]
    public void Using_directives_go_the_same_way()
    {
        string[] names = [.. Projects.Select(NameOf).OrderByDescending(name => name.Length)];
        Repository.AssertNone(
            from file in Folders.SelectMany(Repository.Sources)
            let owner = file.Split('/')[1]
            where owner.StartsWith(Prefix, StringComparison.Ordinal)
            let allowed = AllowedTo(owner[Prefix.Length..])
            from line in Repository.Lines(file)
            let match = UsingPaddock().Match(line)
            where match.Success
            let used = names.FirstOrDefault(name => (match.Groups[1].Value + ".").StartsWith(name + ".", StringComparison.Ordinal))
            where used is not null && used != owner[Prefix.Length..] && allowed?.Contains(used) != true
            select $"{file}: {line}");
    }

    [Fact]
    public void Namespace_is_project_and_folder()
        => Repository.AssertNone(
            from file in Folders.SelectMany(Repository.Sources)
            where file.Split('/')[1].StartsWith(Prefix, StringComparison.Ordinal)
            let expected = string.Join('.', file.Split('/')[1..^1])
            from Match declared in Namespace().Matches(Repository.Read(file))
            where declared.Groups[1].Value != expected
            select $"{file}: namespace {declared.Groups[1].Value}, not {expected}");

    // The C library is called in Posix alone. Ceph's libraries have a place of their own: they are loaded at run time, and a user of the
    // packages who has no images in RBD need not have a line of it.
    [Fact]
    public void Native_calls_are_in_Posix_and_in_the_native_part_of_Rbd_only()
        => Repository.AssertNone(
            from file in Repository.Sources("src")
            where !file.StartsWith("src/Paddock.Posix/", StringComparison.Ordinal)
                && !file.StartsWith("src/Paddock.Rbd/Native/", StringComparison.Ordinal) && NativeImport().IsMatch(Repository.Read(file))
            select file);

    [Fact]
    public void Wire_code_has_no_socket_in_it()
        => Repository.AssertNone(
            from folder in new[]
            {
                "src/Paddock.Nbd/Wire", "src/Paddock.Nvme/Wire", "src/Paddock.VhostUser/Wire", "src/Paddock.VfioUser/Wire",
            }
            from file in Repository.Sources(folder)
            where Repository.Read(file).Contains("System.Net.Sockets", StringComparison.Ordinal)
            select file);

    // null: the project is not in the table
    private static string[]? AllowedTo(string project)
    {
        if (MayUse.TryGetValue(project, out string[]? product))
        {
            return product;
        }

        string[]? more = TestsMayUse.GetValueOrDefault(project);
        return project.EndsWith(".Tests", StringComparison.Ordinal) && MayUse.TryGetValue(project[..^".Tests".Length], out string[]? below)
            ? [project[..^".Tests".Length], .. below, .. more ?? [], "Testing"] : more;
    }

    private static string NameOf(string project) => Path.GetFileNameWithoutExtension(project)[Prefix.Length..];

    [GeneratedRegex(@"<ProjectReference Include=""[^""]*/Paddock\.([\w.]+)\.csproj""")]
    private static partial Regex ProjectReference();

    [GeneratedRegex(@"^(?:global )?using (?:static )?(?:\w+ = )?Paddock\.([\w.]+)")]
    private static partial Regex UsingPaddock();

    [GeneratedRegex(@"^namespace ([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace();

    [GeneratedRegex(@"\[(?:DllImport|LibraryImport)\b")]
    private static partial Regex NativeImport();
}
