namespace Paddock.Packages.Tests;

/// <summary>The sample is built and run as a user would: from the packages alone.</summary>
public class SampleTests(PackageFeed feed)
{
    private const string Sample = "samples/ZonedDisk/Program.cs";

    private static readonly string[] Output =
    [
        "zone at 8 MiB: ImplicitlyOpen, 4096 bytes written",
        "Hello, zones",
        "disk.raw: 64 MiB",
    ];

    [Fact]
    public async Task Sample_builds_from_the_packages_alone_and_runs()
    {
        string folder = Path.Combine(feed.Folder, "ZonedDisk");
        Directory.CreateDirectory(folder);
        foreach (string file in new[] { "Program.cs", "ZonedDisk.csproj" })
        {
            File.Copy(Path.Combine(Dotnet.Root, "samples", "ZonedDisk", file), Path.Combine(folder, file));
        }

        WriteConfiguration(folder);

        // packages of this repository come from the feed, into a folder of this run; others from the machine's folder or its source
        var variables = new Dictionary<string, string> { ["NUGET_PACKAGES"] = Path.Combine(feed.Folder, "restored") };
        await Dotnet.RunAsync(
            folder, variables, "dotnet", "build", "ZonedDisk.csproj", "-c", "Release", "-o", "out", "-v", "q", "-nologo",
            "-warnaserror", "-p:NuGetAudit=false", $"-p:PaddockVersion={feed.Version}");
        string output = await Dotnet.RunAsync(folder, variables, "dotnet", Path.Combine("out", "ZonedDisk.dll"));
        Assert.Equal(Output, output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        Assert.Equal(64 << 20, new FileInfo(Path.Combine(folder, "disk.raw")).Length);

        // what the program used is what the feed has, file for file
        foreach (string library in Directory.GetFiles(Path.Combine(folder, "out"), "Paddock.*.dll"))
        {
            Assert.Contains(Path.GetFileNameWithoutExtension(library), feed.Names);
        }
    }

    [Fact]
    public void Sample_has_at_most_25_lines() => Assert.InRange(File.ReadAllLines(Path.Combine(Dotnet.Root, Sample)).Length, 1, 25);

    [Fact]
    public void Guide_of_the_library_begins_with_the_sample()
    {
        string guide = File.ReadAllText(Path.Combine(Dotnet.Root, "docs/library.md"));
        int start = guide.IndexOf("```csharp\n", StringComparison.Ordinal);
        Assert.True(start >= 0, "docs/library.md has no C# example");
        start += "```csharp\n".Length;
        string example = guide[start..guide.IndexOf("```", start, StringComparison.Ordinal)];
        Assert.Equal(File.ReadAllText(Path.Combine(Dotnet.Root, Sample)), example);
    }

    private static string MachinePackages()
        => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private void WriteConfiguration(string folder) => File.WriteAllText(Path.Combine(folder, "nuget.config"), $"""
        <configuration>
          <packageSources>
            <add key="paddock" value="{feed.Packages}" />
          </packageSources>
          <fallbackPackageFolders>
            <add key="machine" value="{MachinePackages()}" />
          </fallbackPackageFolders>
        </configuration>
        """);
}
