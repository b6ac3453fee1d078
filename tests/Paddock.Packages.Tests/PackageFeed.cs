using System.IO.Compression;
using System.Xml.Linq;

namespace Paddock.Packages.Tests;

/// <summary>A temporary folder with the packages, packed once for all tests.</summary>
public sealed class PackageFeed : IAsyncLifetime
{
    /// <summary>The version of the packages: of this run, so that no cache holds another of the same version.</summary>
    public string Version { get; } = $"0.0.1-test.{Guid.NewGuid():N}";

    /// <summary>A folder for everything that the tests make.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("paddock-packages-").FullName;

    /// <summary>The folder of packages.</summary>
    public string Packages => Path.Combine(Folder, "feed");

    /// <summary>The names of all packages.</summary>
    public IReadOnlyList<string> Names => [.. Directory.GetFiles(Packages, "*.nupkg")
        .Select(f => Path.GetFileName(f)[..^$".{Version}.nupkg".Length]).Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
        => await Dotnet.RunAsync(
            Dotnet.Root, new Dictionary<string, string> { ["MinVerVersionOverride"] = Version },
            "dotnet", "pack", "Paddock.slnx", "-c", Dotnet.Configuration, "--no-build", "-o", Packages, "-v", "q");

    /// <summary>The entries of a package's archive.</summary>
    public IReadOnlyList<string> EntriesOf(string name, string extension = "nupkg")
    {
        using var archive = ZipFile.OpenRead(FileOf(name, extension));
        return [.. archive.Entries.Select(static e => e.FullName)];
    }

    /// <summary>A package's manifest.</summary>
    public XElement ManifestOf(string name)
    {
        using var archive = ZipFile.OpenRead(FileOf(name, "nupkg"));
        using var stream = archive.GetEntry(name + ".nuspec")!.Open();
        var manifest = XDocument.Load(stream).Root!;
        return manifest.Element(manifest.Name.Namespace + "metadata")!;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Directory.Delete(Folder, recursive: true);
        return default;
    }

    private string FileOf(string name, string extension) => Path.Combine(Packages, $"{name}.{Version}.{extension}");
}
