using Microsoft.Playwright;

namespace Paddock.Web.Tests;

/// <summary>The system's Chromium, one for all tests of a class.</summary>
public sealed class Browser : IAsyncLifetime
{
    private const string Program = "/usr/bin/chromium";

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public async ValueTask InitializeAsync()
    {
        Assert.True(File.Exists(Program), $"{Program} is missing: install Debian's chromium (./test does)");
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Program,

            // without a graphics card, drawing by the processor is faster than emulating one
            Args = ["--disable-gpu"],
        });
    }

    /// <summary>Opens the page of a server and waits until it follows the disk.</summary>
    /// <param name="server">The server.</param>
    /// <param name="scheme">The system's preference.</param>
    internal async Task<IPage> OpenAsync(WebServer server, ColorScheme scheme = ColorScheme.Light)
    {
        var page = await _browser!.NewPageAsync(new BrowserNewPageOptions
        {
            ColorScheme = scheme,
            ViewportSize = new ViewportSize { Width = 1280, Height = 800 },
        });
        var output = TestContext.Current.TestOutputHelper;
        page.PageError += (_, error) => Report(output, "error of the page: " + error);
        page.Console += (_, message) => Report(output, "console: " + message.Text);
        await page.GotoAsync(server.Client.BaseAddress!.ToString());
        await page.WaitForFunctionAsync("() => window.paddock?.store?.samples.length > 0");
        return page;
    }

    // a test that fails leaves its page open: what that reports later must not end the browser of the other tests
    private static void Report(ITestOutputHelper? output, string line)
    {
        try
        {
            output?.WriteLine(line);
        }
        catch (InvalidOperationException)
        {
            // the test has ended
        }
    }

    public async ValueTask DisposeAsync()
    {
        await (_browser?.DisposeAsync() ?? ValueTask.CompletedTask);
        _playwright?.Dispose();
    }
}
