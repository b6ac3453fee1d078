using System.Reflection;
using System.Runtime.InteropServices;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>`paddock version`: the version, alone or with how the executable was built.</summary>
public static class VersionVerb
{
    // the version of QEMU whose command lines the compatible tools take
    private const string Qemu = "10.0.2";

    /// <summary>Version of the executable.</summary>
    public static string Version { get; } = typeof(VersionVerb).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
        ?.InformationalVersion ?? "unknown";

    /// <summary>Prints the version.</summary>
    public static void Run(bool json, NativeConsole console)
        => console.Out.WriteLine(!json ? Version : JsonText.Readable(new JsonFields
        {
            { "version", Version },
            { "qemu", Qemu },
            { "native", AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") is null },
            { "runtime", RuntimeInformation.FrameworkDescription },
            { "platform", RuntimeInformation.RuntimeIdentifier },
        }));
}
