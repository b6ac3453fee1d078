using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>References go one way, and what needs an operating system stands in one project.</summary>
public partial class ArchitectureTests
{
    // what each project may use; a project that is not here is new: decide where it stands and say so in docs/ARCHITECTURE.md
    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        ["Block"] = [],
        ["Posix"] = ["Block"],
        ["Zones"] = ["Block"],
        ["Qcow2"] = ["Block", "Zones"],
        ["Nbd"] = ["Block"],
        ["Nvme"] = ["Block", "Zones"],
        ["VhostUser"] = ["Block", "Posix"],
        ["Tools"] = ["Block", "Posix", "Zones", "Qcow2", "Nbd", "Nvme", "VhostUser"],
        ["Cli"] = ["Block", "Posix", "Zones", "Qcow2", "Nbd", "Nvme", "VhostUser", "Tools"],
    };

    [Fact]
    public void Every_project_under_src_has_its_place()
        => Repository.AssertNone(Repository.Files("src", "*.csproj").Select(NameOf).Where(n => !MayUse.ContainsKey(n)));

    [Fact]
    public void Project_references_go_one_way()
    {
        var wrong = from project in Repository.Files("src", "*.csproj")
                    from Match reference in ProjectReference().Matches(Repository.Read(project))
                    where !MayUse[NameOf(project)].Contains(reference.Groups[1].Value)
                    select $"{project} refers to {reference.Groups[1].Value}";
        Repository.AssertNone(wrong);
    }

    [Fact]
    public void Using_directives_go_the_same_way()
    {
        var wrong = from file in Repository.Sources("src")
                    let owner = file.Split('/')[1]["Paddock.".Length..]
                    from line in Repository.Lines(file)
                    let match = UsingPaddock().Match(line)
                    where match.Success && match.Groups[1].Value != owner && !MayUse[owner].Contains(match.Groups[1].Value)
                    select $"{file}: {line}";
        Repository.AssertNone(wrong);
    }

    [Fact]
    public void Native_calls_stand_in_Posix_only()
    {
        var wrong = from file in Repository.Sources("src")
                    where !file.StartsWith("src/Paddock.Posix/", StringComparison.Ordinal) && NativeImport().IsMatch(Repository.Read(file))
                    select file;
        Repository.AssertNone(wrong);
    }

    [Fact]
    public void Wire_code_has_no_socket_in_it()
    {
        var wrong = from folder in new[] { "src/Paddock.Nbd/Wire", "src/Paddock.Nvme/Wire", "src/Paddock.VhostUser/Wire" }
                    from file in Repository.Sources(folder)
                    where Repository.Read(file).Contains("System.Net.Sockets", StringComparison.Ordinal)
                    select file;
        Repository.AssertNone(wrong);
    }

    private static string NameOf(string project) => Path.GetFileNameWithoutExtension(project)["Paddock.".Length..];

    [GeneratedRegex(@"<ProjectReference Include=""[^""]*Paddock\.(\w+)\.csproj""")]
    private static partial Regex ProjectReference();

    [GeneratedRegex(@"^(?:global )?using (?:static )?(?:\w+ = )?Paddock\.(\w+)")]
    private static partial Regex UsingPaddock();

    [GeneratedRegex(@"\[(?:DllImport|LibraryImport)\b")]
    private static partial Regex NativeImport();
}
