using System.Text.Json;
using Paddock.Block;
using Paddock.Images;

namespace Paddock.Web.Tests;

public class ControlTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Without_the_option_the_server_is_read_only()
    {
        await using var server = await WebServer.StartAsync();
        Assert.Equal(403, (await PostAsync(server, "offline", 1, WebServer.Token)).Status);
        Assert.False((await server.JsonAsync("/api/disks")).GetProperty("control").GetBoolean());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("another token, as long")]
    [InlineData(WebServer.Token + "x")]
    public async Task Wrong_token_is_rejected(string? token)
    {
        await using var server = await WebServer.StartAsync(control: true);
        Assert.Equal(401, (await PostAsync(server, "offline", 1, token)).Status);
        Assert.Equal(0, (await server.JsonAsync("/api/zones?state=offline")).GetProperty("zones").GetArrayLength());
    }

    [Fact]
    public async Task Token_changes_zones_and_each_change_is_logged()
    {
        await using var server = await WebServer.StartAsync(control: true);
        await using var disk = await server.NvmeAsync();
        await disk.Zones!.AppendAsync(0, new byte[4096], cancellationToken: Stop);
        foreach (var (action, condition) in new[]
        {
            ("finish", "full"), ("reset", "empty"), ("open", "explicitly open"), ("close", "empty"), ("readonly", "read only"),
            ("restore", "empty"), ("offline", "offline"),
        })
        {
            var (status, text) = await PostAsync(server, action, 0, WebServer.Token);
            Assert.True(status == 200, text);
            await Testing.Protocols.Eventually.IsAsync(
                async () => (await server.JsonAsync("/api/zones?count=1")).GetProperty("zones")[0].GetProperty("condition").GetString(),
                now => now == condition);
            Assert.Contains($"\"event\":\"web control\",\"peer\":\"127.0.0.1\",\"image\":\"disk\",\"action\":\"{action}\"", server.Log,
                StringComparison.Ordinal);
        }

        Assert.DoesNotContain(WebServer.Token, server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disk_whose_name_has_blanks_is_controlled()
    {
        await using var server = await WebServer.StartAsync(
            control: true, with: s => s with { Images = [s.Images[0] with { Export = "my 100% disk" }] });
        var (status, text) = await server.SendAsync(
            "/api/control", HttpMethod.Post, "{\"disk\":\"my 100% disk\",\"action\":\"offline\",\"zone\":1}", WebServer.Token);
        Assert.True(status == 200, text);
        Assert.StartsWith("ok", await server.AskAsync("restore image=my%20100%25%20disk zone=1"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"disk\":\"disk\",\"action\":\"format\",\"zone\":0}", "unknown action 'format'; expected one of reset")]
    [InlineData("{\"disk\":\"disk\",\"action\":\"reset\",\"zone\":16}", "zone 16 does not exist: 'disk' has zones 0 to 15")]
    [InlineData("{\"disk\":\"disk\",\"action\":\"reset\",\"zone\":-1}", "zone -1 does not exist")]
    [InlineData("{\"disk\":\"other\",\"action\":\"reset\",\"zone\":0}", "unknown image 'other'")]
    [InlineData("{\"disk\":\"disk\",\"action\":\"reset\"}", "expected a JSON object with disk, zone and action")]
    [InlineData("{\"disk\":\"disk\",\"action\":\"reset\",\"zone\":0,\"force\":true}", "expected a JSON object")]
    [InlineData("reset", "expected a JSON object")]
    public async Task Invalid_command_is_rejected(string body, string why)
    {
        await using var server = await WebServer.StartAsync(control: true);
        var (status, text) = await server.SendAsync("/api/control", HttpMethod.Post, body, WebServer.Token);
        Assert.Equal(400, status);
        Assert.Contains(why, JsonDocument.Parse(text).RootElement.GetProperty("error").GetString()!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Long_body_and_other_methods_are_rejected()
    {
        await using var server = await WebServer.StartAsync(control: true);
        Assert.Equal(413, (await server.SendAsync("/api/control", HttpMethod.Post, new string(' ', 5000), WebServer.Token)).Status);
        Assert.Equal(405, (await server.SendAsync("/api/control", HttpMethod.Get)).Status);
        Assert.Equal(405, (await server.SendAsync("/api/zones", HttpMethod.Post, "{}")).Status);
    }

    [Fact]
    public async Task Token_file_must_be_private_and_long_enough()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("paddock-token-").FullName, "t");
        await File.WriteAllTextAsync(file, "short", Stop);
        File.SetUnixFileMode(file, UnixFileMode.UserRead);
        Assert.Contains("the token has 5 bytes; the minimum is 16", await ErrorOfAsync(file), StringComparison.Ordinal);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Assert.Contains("chmod 600", await ErrorOfAsync(file), StringComparison.Ordinal);
        Assert.Contains("--web-control requires --web-token-file", await ErrorOfAsync(null), StringComparison.Ordinal);
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    private static async Task<string> ErrorOfAsync(string? file)
        => (await Assert.ThrowsAsync<ToolException>(
            () => WebServer.StartAsync(with: s => s with { WebControl = true, WebTokenFile = file }))).Message;

    private static Task<(int Status, string Text)> PostAsync(WebServer server, string action, int zone, string? token)
        => server.SendAsync(
            "/api/control", HttpMethod.Post, $"{{\"disk\":\"disk\",\"action\":\"{action}\",\"zone\":{zone}}}", token);
}
