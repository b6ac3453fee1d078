using Paddock.Cli.Native;
using Paddock.Server;

namespace Paddock.Cli.Tests;

/// <summary>Exit of `paddock serve`.</summary>
public sealed class ServeVerbTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-serve-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Stop_is_given_the_drain_time_and_a_minute()
    {
        string image = Path.Combine(_folder, "disk");
        await File.WriteAllBytesAsync(image, new byte[1 << 20], TestContext.Current.CancellationToken);
        var console = new NativeConsole(new MemoryStream(), new MemoryStream(), new MemoryStream());
        var settings = new ServeSettings
        {
            Images = [new ServedImage { Path = image, Format = "raw" }], Nbd = "unix:" + Path.Combine(_folder, "n"), DrainTimeout = 300,
        };
        using var report = ReadyReport.Open(null, null, null);
        var process = new ServeProcess(report, null, ExitsWithParent: false, ServeProcess.NamesOf);
        await ServeVerb.RunAsync(settings, process, console, new CancellationToken(canceled: true));
        Assert.Equal(TimeSpan.FromSeconds(360), console.StopLimit);
    }
}
