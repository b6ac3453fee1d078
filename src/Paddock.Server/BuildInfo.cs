using System.Reflection;

namespace Paddock.Server;

/// <summary>What this build is.</summary>
internal static class BuildInfo
{
    private static readonly string Full =
        typeof(BuildInfo).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0";

    /// <summary>Its version, without the revision.</summary>
    public static string Version { get; } = Full.Split('+')[0];

    /// <summary>The revision of its sources; empty if it is not known.</summary>
    public static string Revision { get; } = Full.Split('+') is [_, var revision] ? revision : "";
}
