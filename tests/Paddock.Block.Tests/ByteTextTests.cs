using System.Text;
using Paddock.Posix;

namespace Paddock.Block.Tests;

public sealed class ByteTextTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Any_bytes_come_back_from_their_text()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        for (int i = 0; i < 5000; i++)
        {
            byte[] bytes = new byte[random.Next(40)];
            random.NextBytes(bytes);
            if (i % 2 == 0)
            {
                Encoding.UTF8.GetBytes("aé€😀").AsSpan(0, Math.Min(bytes.Length, random.Next(10))).CopyTo(bytes);
            }

            Assert.True(bytes.AsSpan().SequenceEqual(ByteText.ToBytes(ByteText.FromBytes(bytes))), $"seed {seed}, {Convert.ToHexString(bytes)}");
        }
    }

    [Fact]
    public void Names_in_UTF_8_are_their_own_text_and_others_are_printed_with_escapes()
    {
        Assert.Equal("é€😀\ufffd", ByteText.FromBytes(Encoding.UTF8.GetBytes("é€😀\ufffd")));
        Assert.Equal("b\udce9z", ByteText.FromBytes([.. "b"u8, 0xe9, .. "z"u8]));
        Assert.Equal("b\\xe9z😀"u8.ToArray(), ByteText.Printing.GetBytes("b\udce9z😀"));
        Assert.Equal(BlockError.InvalidArgument, Assert.Throws<BlockException>(() => ByteText.ToPath("a\0b")).Error);
    }

    [Fact]
    public async Task Files_with_such_names_are_made_found_read_and_removed()
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

        // the bytes themselves, as another program lists them
        var start = new System.Diagnostics.ProcessStartInfo("ls", ["-b", _folder]) { RedirectStandardOutput = true, Environment = { ["LC_ALL"] = "C" } };
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
