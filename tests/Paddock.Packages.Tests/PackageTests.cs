[assembly: AssemblyFixture(typeof(Paddock.Packages.Tests.PackageFeed))]

namespace Paddock.Packages.Tests;

public class PackageTests(PackageFeed feed)
{
    private static readonly string[] Expected =
    [
        "Paddock.Block", "Paddock.Crypto", "Paddock.Faults", "Paddock.Images", "Paddock.Nbd", "Paddock.Nvme", "Paddock.Posix",
        "Paddock.Qcow2", "Paddock.Rbd", "Paddock.Serving", "Paddock.VhostUser", "Paddock.Zones",
    ];

    [Fact]
    public void Libraries_and_nothing_else_are_packed() => Assert.Equal(Expected, feed.Names);

    [Fact]
    public void Package_has_description_licence_readme_icon_documentation_and_symbols()
    {
        foreach (string name in feed.Names)
        {
            var manifest = feed.ManifestOf(name);
            string? Of(string element) => manifest.Element(manifest.Name.Namespace + element)?.Value;
            Assert.InRange(Of("description")?.Length ?? 0, 60, 400);
            Assert.NotEqual("Package Description", Of("description"));
            Assert.Equal(("Apache-2.0", "README.md", "icon.png"), (Of("license"), Of("readme"), Of("icon")));
            Assert.Contains("qcow2", Of("tags"), StringComparison.Ordinal);
            var entries = feed.EntriesOf(name);
            Assert.Contains("README.md", entries);
            Assert.Contains("icon.png", entries);
            Assert.Contains($"lib/net10.0/{name}.dll", entries);
            Assert.Contains($"lib/net10.0/{name}.xml", entries);
            Assert.Contains($"lib/net10.0/{name}.pdb", feed.EntriesOf(name, "snupkg"));
        }
    }

    [Fact]
    public void Package_requires_others_of_this_repository_in_its_own_version()
    {
        var required = from name in feed.Names
                       from dependency in feed.ManifestOf(name).Descendants().Where(static e => e.Name.LocalName == "dependency")
                       let id = dependency.Attribute("id")!.Value
                       where id.StartsWith("Paddock.", StringComparison.Ordinal)
                       select (name, id, version: dependency.Attribute("version")!.Value);
        Assert.NotEmpty(required);
        Assert.All(required, r => Assert.Equal($"[{feed.Version}]", r.version));
        Assert.All(required, r => Assert.Contains(r.id, feed.Names));
    }
}
