using Paddock.Server.Web;

namespace Paddock.Cli.Native;

/// <summary>The web part of this build.</summary>
internal static class WebBuild
{
    /// <summary>The web part; null in a build with <c>PaddockWeb=false</c>.</summary>
    public static IWebPart? Part
#if PADDOCK_WEB
        => new Web.WebPart();
#else
        => null;
#endif
}
