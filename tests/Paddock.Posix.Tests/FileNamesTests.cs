namespace Paddock.Posix.Tests;

public sealed class FileNamesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Files_with_names_that_are_not_UTF_8_can_be_created_found_read_and_removed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "names are bytes on Linux");
        string name = Path.Combine(_folder, "n\udcffw");
        Assert.False(FileNames.Exists(name));
        Assert.Throws<FileNotFoundException>(() => FileNames.ReadAllBytes(name));
        await using (var file = FileStorage.Open(new() { Path = name, Create = true }))
        {
            await file.WriteAsync(0, "text"u8.ToArray(), TestContext.Current.CancellationToken);
        }

        Assert.True(FileNames.Exists(name));
        Assert.Equal("text", FileNames.ReadAllText(name));
        await using (var file = FileStorage.Open(new() { Path = name, ReadOnly = true }))
        {
            Assert.Equal(name, file.Facts.RealPath);
        }

        // the raw bytes, as another program lists them
        var start = new System.Diagnostics.ProcessStartInfo(
            "ls", ["-b", _folder]) { RedirectStandardOutput = true, Environment = { ["LC_ALL"] = "C" } };
        using var list = System.Diagnostics.Process.Start(start)!;
        Assert.Equal("n\\377w\n", await list.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken));
        FileNames.WriteAllText(name, "new");
        Assert.Equal("new"u8.ToArray(), FileNames.ReadAllBytes(name));
        FileNames.Delete(name);
        FileNames.Delete(name);
        Assert.False(FileNames.Exists(name));
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }
}
