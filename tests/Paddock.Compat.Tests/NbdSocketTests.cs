using Paddock.Compat.Nbd;

namespace Paddock.Compat.Tests;

/// <summary>The socket of qemu-nbd.</summary>
public sealed class NbdSocketTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-nbd-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("data")]
    [InlineData("")]
    public async Task Qemu_nbd_refuses_an_ordinary_file_for_its_socket_and_keeps_it_and_the_pid_file(string content)
    {
        File.WriteAllText(At("x"), content);
        File.WriteAllText(At("pid"), "1");
        await File.WriteAllBytesAsync(At("disk.raw"), new byte[4096], TestContext.Current.CancellationToken);
        var error = new StringWriter();
        int code = await NbdTool.RunAsync(
            ["-f", "raw", "-k", At("x"), "--pid-file", At("pid"), At("disk.raw")],
            new ToolContext { Program = "qemu-nbd", Out = TextWriter.Null, Error = error }, ["nbd"], new CancellationToken(canceled: true));
        Assert.Equal(1, code);
        Assert.Contains($"Failed to bind socket to {At("x")}: a file that is not a socket", error.ToString(), StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllText(At("x")));
        Assert.Equal("1", File.ReadAllText(At("pid")));
    }

    private string At(string name) => Path.Combine(_folder, name);
}
