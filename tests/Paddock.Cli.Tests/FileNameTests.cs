using System.Diagnostics;

namespace Paddock.Cli.Tests;

/// <summary>File names that are not valid UTF-8, passed to the program by a shell.</summary>
public sealed class FileNameTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-names-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("p create \"$n\" 1M && p create \"$n\" 1M", 1, "", "'n\\xffw' exists")]
    [InlineData("p img create -f qcow2 \"$n\" 1M && p img info \"$n\"", 0, "image: n\\xffw\n", "")]
    [InlineData("p img create -q -f qcow2 \"$n\" 1M && p img info --output=json \"$n\"", 0, "\"filename\": \"n\\uDCFFw\"", "")]
    [InlineData("p create \"$n\" 1M && p info \"$n\" --json", 0, "\"image\": \"n\\uDCFFw\"", "")]
    [InlineData("p create \"$n\" 1M && p info \"$n\" && p check \"$n\"", 0, "n\\xffw", "")]
    [InlineData("p create \"$n\" 1M && p img info 'json:{\"driver\":\"qcow2\",\"file.filename\":\"n\\udcffw\"}'", 0,
        "image: n\\xffw\n", "")]
    [InlineData("p img create -q -f raw \"$n\" 1M && p img create -q -f qcow2 -F raw -b \"$n\" top && p img map top", 0, "Offset", "")]
    [InlineData("p img create -q -f raw \"$n\" 1M && p img create -q -f qcow2 -F raw -b \"$n\" top && p img info top", 0,
        "backing file: n\\xffw\n", "")]
    [InlineData("p img info \"$n\"", 1, "", "Could not open 'n\\xffw': No such file or directory")]
    [InlineData("p img create -q -f raw r 1M && cp r \"$n\" && p io -f raw -c \"write -s $n 0 512\" r", 0, "wrote 512", "")]
    public async Task Bytes_of_a_name_are_kept_and_printed_with_escapes(string script, int code, string output, string error)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "names are bytes on Linux");
        string program = Path.Combine(AppContext.BaseDirectory, "paddock.dll"), host = Environment.ProcessPath!;
        string dotnet = Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet";
        var start = new ProcessStartInfo(
            "sh", ["-c", $"p() {{ '{dotnet}' '{program}' \"$@\"; }}; n=$(printf 'n\\377w'); {script}; c=$?; rm -f \"$n\"; exit $c"])
        {
            WorkingDirectory = _folder, RedirectStandardOutput = true, RedirectStandardError = true,
        };

        // the runtime cannot delete such a file with its folder, so the script does
        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string complained = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == code, $"{process.ExitCode}: {await said}{complained}");
        Assert.Contains(output, await said, StringComparison.Ordinal);
        Assert.Contains(error, complained, StringComparison.Ordinal);
        Assert.DoesNotContain('\ufffd', await said + complained);
    }
}
