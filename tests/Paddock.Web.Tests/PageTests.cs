using Microsoft.Playwright;
using Paddock.Block;
using Paddock.Images;

namespace Paddock.Web.Tests;

/// <summary>The live page in Chromium, used as a user does. Times are reported, not asserted.</summary>
public sealed class PageTests(Browser browser) : IClassFixture<Browser>
{
    private const int Zone = 1 << 20;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Page_follows_an_append_a_reset_an_offline_zone_and_a_resize()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        var page = await browser.OpenAsync(server);
        await MeasureAsync(
            "append", page, "() => paddock.zone(3).condition === 'implicitly open' && paddock.zone(3).written === 8192",
            async () => await disk.Zones!.AppendAsync(3 * Zone, new byte[8192], cancellationToken: Stop));
        await MeasureAsync(
            "reset", page, "() => paddock.zone(3).condition === 'empty' && paddock.zone(3).resets === 1",
            async () => await disk.Zones!.ManageAsync(ZoneAction.Reset, 3 * Zone, Zone, Stop));
        await MeasureAsync(
            "offline zone", page, "() => paddock.zone(5).condition === 'offline'", async () => await server.AskAsync("offline zone=5"));
        await MeasureAsync(
            "resize", page, "() => paddock.store.live.count === 20", async () => await server.AskAsync($"resize size={20 * Zone}"));
        await page.WaitForFunctionAsync("() => document.getElementById('summary').textContent.includes('20 zones')");
        Assert.Contains("zone offline image=disk zones=5", await page.TextContentAsync("#events"), StringComparison.Ordinal);
        await page.CloseAsync();
    }

    [Fact]
    public async Task Million_zones_scroll()
    {
        await using var server = await WebServer.StartAsync(zones: 1 << 20, zoneSize: 1 << 16);
        var page = await browser.OpenAsync(server);
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(1_048_575L << 16, new byte[4096], cancellationToken: Stop);
        await page.WaitForFunctionAsync("() => paddock.zone(1048575).written === 4096");
        double rate = await page.EvaluateAsync<double>(
            """
            () => new Promise(done => {
              const box = document.getElementById('map'), from = paddock.map.frames, start = performance.now();
              const step = () => {
                const seconds = (performance.now() - start) / 1000;
                box.scrollTop = (box.scrollHeight - box.clientHeight) * seconds / 3;
                if (seconds < 3) requestAnimationFrame(step);
                else done((paddock.map.frames - from) / seconds);
              };
              requestAnimationFrame(step);
            })
            """);
        Report($"1,048,576 zones: {rate:0.0} frames per second while scrolling from end to end in 3 s");
        Assert.True(rate > 0);
        await page.FillAsync("#goto", "1048575");
        await page.PressAsync("#goto", "Enter");
        Assert.Contains("zone 1048575, implicitly open", await page.TextContentAsync("#announce"), StringComparison.Ordinal);
        await page.CloseAsync();
    }

    [Fact]
    public async Task Keys_select_zones_and_announce_them()
    {
        await using var server = await WebServer.StartAsync();
        var page = await browser.OpenAsync(server);
        await page.FocusAsync("#map");
        foreach (var (key, zone) in new[]
        {
            ("ArrowDown", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 15), ("Home", 0),
        })
        {
            await page.Keyboard.PressAsync(key);
            Assert.StartsWith($"zone {zone}, empty", await page.TextContentAsync("#announce"), StringComparison.Ordinal);
        }

        await page.Keyboard.PressAsync("m");
        Assert.Equal("fill", await page.InputValueAsync("#mode"));
        await page.Keyboard.PressAsync("t");
        Assert.Equal(16, await page.Locator("#rows tr").CountAsync());
        await page.SelectOptionAsync("#filter", "15");
        Assert.Equal("no zone", await page.TextContentAsync("#page-of"));
        await page.CloseAsync();
    }

    [Fact]
    public async Task Every_control_has_a_name_for_screen_readers()
    {
        await using var server = await WebServer.StartAsync(control: true);
        var page = await browser.OpenAsync(server);
        string[] nameless = await page.EvaluateAsync<string[]>(
            """
            () => [...document.querySelectorAll('button, select, input, canvas:not([aria-hidden]), [tabindex]')]
              .filter(e => !e.ariaLabel && !e.labels?.length && !e.textContent.trim()).map(e => e.outerHTML)
            """);
        Assert.Empty(nameless);
        await page.CloseAsync();
    }

    [Fact]
    public async Task Theme_follows_the_system_until_it_is_chosen()
    {
        await using var server = await WebServer.StartAsync();
        var page = await browser.OpenAsync(server, ColorScheme.Dark);
        const string Back = "() => getComputedStyle(document.body).backgroundColor";
        string dark = await page.EvaluateAsync<string>(Back);
        await page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = ColorScheme.Light });
        string light = await page.EvaluateAsync<string>(Back);
        Assert.NotEqual(dark, light);
        await page.ClickAsync("#theme");
        Assert.Equal(dark, await page.EvaluateAsync<string>(Back));
        await page.ReloadAsync();
        Assert.Equal(dark, await page.EvaluateAsync<string>(Back));
        await page.CloseAsync();
    }

    [Fact]
    public async Task Time_line_shows_what_zones_were_and_returns_to_the_present()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        var page = await browser.OpenAsync(server);
        for (int i = 1; i <= 3; i++)
        {
            await disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: Stop);
            await page.WaitForFunctionAsync($"() => paddock.zone(0).written === {i * 4096}");
        }

        const string Written = "() => paddock.store.zones.written[0]";
        await page.EvaluateAsync("() => { const w = document.getElementById('when'); w.value = 0; w.dispatchEvent(new Event('input')); }");
        Assert.Equal(0, await page.EvaluateAsync<int>(Written));
        Assert.Equal(12288, await page.EvaluateAsync<int>("() => paddock.zone(0).written"));
        await page.ClickAsync("#play");
        await page.WaitForFunctionAsync("() => paddock.store.at < 0");
        Assert.Equal(12288, await page.EvaluateAsync<int>(Written));
        Assert.Equal("live", await page.TextContentAsync("#shown"));
        await page.CloseAsync();
    }

    [Fact]
    public async Task Page_that_is_opened_later_shows_what_was_before()
    {
        await using var server = await WebServer.StartAsync();
        await using var disk = await server.NvmeAsync();
        await Testing.Protocols.Eventually.IsAsync(FramesAsync, static frames => frames.Contains("\"delta\"", StringComparison.Ordinal));
        await disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: Stop);
        await Testing.Protocols.Eventually.IsAsync(FramesAsync, static frames => frames.Contains("[0,1,2,4096,", StringComparison.Ordinal));
        var page = await browser.OpenAsync(server);
        Assert.Equal(4096, await page.EvaluateAsync<int>("() => paddock.zone(0).written"));
        Assert.Equal(0, await page.EvaluateAsync<int>("() => { paddock.store.show(0); return paddock.store.zones.written[0]; }"));
        await page.CloseAsync();

        async Task<string> FramesAsync()
            => System.Text.Encoding.Latin1.GetString(await server.Client.GetByteArrayAsync("/api/zones.bin?past=true", Stop));
    }

    [Fact]
    public async Task Token_makes_the_page_change_zones()
    {
        await using var server = await WebServer.StartAsync(control: true);
        var page = await browser.OpenAsync(server);
        await page.FillAsync("#goto", "4");
        await page.PressAsync("#goto", "Enter");
        await page.ClickAsync("#actions >> text=offline");
        await page.WaitForFunctionAsync("() => document.getElementById('done').textContent.includes('required')");
        await page.FillAsync("#token", WebServer.Token);
        await page.ClickAsync("#actions >> text=offline");
        await page.WaitForFunctionAsync("() => paddock.zone(4).condition === 'offline'");
        await page.CloseAsync();
    }

    [Fact]
    public async Task Page_shows_that_another_server_owns_the_image_until_it_is_taken_over()
    {
        ImageNode? owner = null;
        await using var server = await WebServer.StartAsync(
            with: static settings => settings with { Standby = true, Node = 1 },
            before: async image => owner = await new ImageOpener("owner", TextWriter.Null).OpenAsync(
                image, new OpenSettings { ReadOnly = false }));
        const string State = "document.getElementById('state').textContent";
        var page = await browser.OpenAsync(server);
        await page.WaitForFunctionAsync($"() => {State} === 'standby: another server owns the image'");
        Assert.Equal("unknown", await page.EvaluateAsync<string>("() => paddock.zone(3).condition"));
        await owner!.DisposeAsync();
        await page.WaitForFunctionAsync($"() => {State} === '' && paddock.zone(3).condition === 'empty'");
        await server.AskAsync("handover");
        await page.WaitForFunctionAsync($"() => {State}.startsWith('standby') && paddock.zone(3).condition === 'empty'");
        await page.CloseAsync();
    }

    [Fact]
    public async Task Plain_disk_has_a_page_too()
    {
        await using var server = await WebServer.StartAsync(zoneSize: 0);
        var page = await browser.OpenAsync(server);
        await page.WaitForFunctionAsync("() => document.getElementById('summary').textContent.includes('no zones')");
        await page.CloseAsync();
    }

    [Theory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task Pictures_of_the_page(ColorScheme scheme)
    {
        await using var server = await WebServer.StartAsync(zones: 1024, maxOpen: 14);
        await using var disk = await server.NvmeAsync();
        var page = await browser.OpenAsync(server, scheme);
        await FillAsync(server, disk);
        await page.WaitForFunctionAsync("() => paddock.zone(900).condition === 'offline' && paddock.zone(705).written > 0");
        await page.FillAsync("#goto", "703");
        await page.PressAsync("#goto", "Enter");
        string folder = Environment.GetEnvironmentVariable("PADDOCK_PICTURES") ?? server.Folder;
        string file = Path.Combine(folder, $"web-{(scheme == ColorScheme.Light ? "light" : "dark")}.png");
        byte[] picture = await page.ScreenshotAsync(new PageScreenshotOptions { Path = file });
        Assert.True(picture.Length > 10_000, $"{picture.Length}");
        await page.CloseAsync();
    }

    // full zones with gaps, some zones in each other condition
    private static async Task FillAsync(WebServer server, IBlockDevice disk)
    {
        for (int zone = 0; zone < 700; zone++)
        {
            if (zone % 37 != 5)
            {
                await disk.Zones!.ManageAsync(ZoneAction.Finish, (long)zone * Zone, Zone, Stop);
            }
        }

        for (int i = 0; i < 6; i++)
        {
            await disk.Zones!.AppendAsync((700L + i) * Zone, new byte[(i + 1) << 17], cancellationToken: Stop);
            await disk.ReadAsync((700L + i) * Zone, new byte[4096], Stop);
        }

        foreach (int zone in new[] { 720, 721 })
        {
            await disk.Zones!.ManageAsync(ZoneAction.Open, (long)zone * Zone, Zone, Stop);
        }

        await disk.Zones!.ManageAsync(ZoneAction.Close, 702L * Zone, Zone, Stop);
        await disk.FlushAsync(Stop);
        await server.AskAsync("readonly zone=880");
        await server.AskAsync("offline zone=900");
    }

    private static async Task MeasureAsync(string what, IPage page, string condition, Func<Task> change)
    {
        var seen = page.WaitForFunctionAsync(condition);
        long start = TimeProvider.System.GetTimestamp();
        await change();
        await seen;
        Report($"{what}: on the page after {TimeProvider.System.GetElapsedTime(start).TotalMilliseconds:0} ms, the request included");
    }

    private static void Report(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
