namespace Paddock.House.Tests;

/// <summary>
/// What is public in a package is listed and documented; the compiler and an analyzer check both where this test says they do.
/// </summary>
public class PackageRulesTests
{
    private static IEnumerable<string> Packages
        => Repository.Files("src", "*.csproj")
            .Where(p => Repository.Read(p).Contains("<IsPackable>true</IsPackable>", StringComparison.Ordinal));

    [Fact]
    public void Package_lists_its_public_members()
    {
        Assert.NotEmpty(Packages);
        Repository.AssertNone(
            from project in Packages
            from list in new[] { "Shipped", "Unshipped" }
            let file = Path.Combine(Path.GetDirectoryName(project)!, $"PublicAPI.{list}.txt")
            where !File.Exists(Path.Combine(Repository.Root, file))
                || !Repository.Read(file).StartsWith("#nullable enable\n", StringComparison.Ordinal)
            select file);
        Assert.Contains("PublicApiAnalyzers", Repository.Read("build/Package.targets"), StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_documentation_of_a_package_is_not_suppressed()
    {
        string[] rules = ["CS1591", "RS0016", "RS0017", "RS0036", "RS0037"];
        Repository.AssertNone(
            from file in Repository.Sources("src").Concat([".editorconfig", "build/Package.targets", "Directory.Build.props"])
            .Concat(Packages)
            from rule in rules
            where Repository.Read(file).Contains(rule, StringComparison.Ordinal)
            select $"{file}: {rule}");
    }

    [Fact]
    public void Dependency_of_a_package_is_a_package()
        => Repository.AssertNone(
            from project in Packages
            from line in Repository.Lines(project)
            where line.Contains("<ProjectReference", StringComparison.Ordinal)
            let name = Path.GetFileName(line.Split('"')[1])
            where !Packages.Any(p => Path.GetFileName(p) == name)
            select $"{project}: {name}");
}
