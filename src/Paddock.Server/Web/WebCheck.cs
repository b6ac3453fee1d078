using Paddock.Images;

namespace Paddock.Server.Web;

/// <summary>Validates the settings of the web part.</summary>
public static class WebCheck
{
    /// <summary>Checks the settings before anything is opened.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="manager">Sockets that were passed in.</param>
    /// <param name="web">The web part of this build; null: it has none.</param>
    /// <exception cref="ToolException">They contradict each other, or this build has no web part; the message names the option.</exception>
    public static void Validate(ServeSettings settings, ServiceManager manager, IWebPart? web)
    {
        bool hasPages = settings.Web is not null || manager.Has("web");
        if (web is null && (hasPages || settings.Metrics is not null || manager.Has("metrics")))
        {
            string option = hasPages ? "--web" : "--metrics";
            throw new ToolException($"{option}: this build has no web part (it was built with PaddockWeb=false)", NativeExit.Usage);
        }

        if (!hasPages && (settings.WebControl || settings.WebTokenFile is not null))
        {
            throw new ToolException("--web-control and --web-token-file require --web", NativeExit.Usage);
        }

        if (settings.WebControl != settings.WebTokenFile is not null)
        {
            throw new ToolException(
                settings.WebControl ? "--web-control requires --web-token-file FILE with a token of at least 16 characters"
                    : "--web-token-file is used with --web-control only", NativeExit.Usage);
        }

        if (settings.WebTokenFile is { } file)
        {
            WebControl.ReadToken(file);
        }
    }
}
