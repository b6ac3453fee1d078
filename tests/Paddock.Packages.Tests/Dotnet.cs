using System.Diagnostics;

namespace Paddock.Packages.Tests;

/// <summary>Runs the .NET command line and programs, as a user would.</summary>
internal static class Dotnet
{
    /// <summary>The folder that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The configuration that the tests, and so the packages, are built in.</summary>
    public static string Configuration
#if DEBUG
        => "Debug";
#else
        => "Release";
#endif

    /// <summary>Runs a program and returns what it printed on standard output; fails the test unless it exits with 0.</summary>
    /// <param name="folder">Its current folder.</param>
    /// <param name="variables">Environment variables to add.</param>
    /// <param name="program">The program, and its arguments.</param>
    public static async Task<string> RunAsync(string folder, IReadOnlyDictionary<string, string> variables, params string[] program)
    {
        var start = new ProcessStartInfo(program[0], program[1..])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };

        // settings of the build that runs these tests are not a user's
        foreach (string name in start.Environment.Keys.Where(static k => k.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase))
            .ToList())
        {
            start.Environment.Remove(name);
        }

        // a build server left behind would hold the pipes open
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["UseSharedCompilation"] = "false";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{string.Join(' ', program)} exited with {process.ExitCode}:\n{await output}{await errors}");
        return await output;
    }

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Paddock.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("the tests do not run from inside the repository");
    }
}
