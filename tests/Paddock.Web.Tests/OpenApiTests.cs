using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Paddock.Server.Live;

namespace Paddock.Web.Tests;

/// <summary>The document is written by hand, since replies are made without reflection: these tests compare it with the code.</summary>
public class OpenApiTests
{
    private static readonly JsonElement Document = Load();

    public static TheoryData<string> Schemas => [.. Types().Select(t => t.Type.Name)];

    [Fact]
    public void Every_route_is_in_the_document()
    {
        var documented = Document.GetProperty("paths").EnumerateObject().Select(p => $"{p.Name} {p.Value.EnumerateObject().Single().Name}");
        Assert.Equal(PageRoutes.Api.Select(r => $"{r.Key} {r.Value}").Order(), documented.Order());
    }

    [Fact]
    public async Task Every_documented_route_is_served()
    {
        await using var server = await WebServer.StartAsync();
        foreach (var (path, method) in PageRoutes.Api.Where(r => r.Key != "/api/events"))
        {
            int status = (await server.SendAsync(path, method == "post" ? HttpMethod.Post : null)).Status;
            Assert.Equal(method == "post" ? 403 : 200, status);
        }
    }

    [Theory]
    [MemberData(nameof(Schemas))]
    public void Every_field_is_in_the_document(string schema)
    {
        var info = Types().Single(t => t.Type.Name == schema);
        var properties = Document.GetProperty("components").GetProperty("schemas").GetProperty(schema).GetProperty("properties");
        Assert.Equal(
            info.Properties.Select(p => p.Name).Order(StringComparer.Ordinal),
            properties.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        foreach (var property in info.Properties)
        {
            var documented = properties.GetProperty(property.Name);
            string? type = documented.TryGetProperty("type", out var name) ? name.GetString() : null;
            Assert.True(type == TypeOf(property.PropertyType), $"{schema}.{property.Name} is {type}, not {TypeOf(property.PropertyType)}");
            Assert.True(type is null || documented.GetProperty("description").GetString() is { Length: > 1 });
        }
    }

    [Fact]
    public void Every_schema_is_a_type()
        => Assert.Equal(
            Types().Select(t => t.Type.Name).Order(StringComparer.Ordinal),
            Document.GetProperty("components").GetProperty("schemas").EnumerateObject().Select(s => s.Name).Order(StringComparer.Ordinal));

    private static JsonElement Load()
    {
        using var stream = typeof(WebPart).Assembly.GetManifestResourceStream("web/openapi.json")!;
        return JsonDocument.Parse(stream).RootElement.Clone();
    }

    // the objects that the contexts of the API and of the live feed write
    private static IEnumerable<JsonTypeInfo> Types()
        => Contexts(WebJson.Default).Concat(Contexts(LiveJson.Default))
            .Where(t => t.Kind == JsonTypeInfoKind.Object && t.Type.Namespace!.StartsWith("Paddock", StringComparison.Ordinal))
            .DistinctBy(t => t.Type);

    private static IEnumerable<JsonTypeInfo> Contexts(object context)
        => context.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(p => p.PropertyType.IsAssignableTo(typeof(JsonTypeInfo))).Select(p => (JsonTypeInfo)p.GetValue(context)!);

    private static string? TypeOf(Type type) => (Nullable.GetUnderlyingType(type) ?? type) switch
    {
        var t when t == typeof(string) => "string",
        var t when t == typeof(bool) => "boolean",
        var t when t == typeof(double) => "number",
        var t when t.IsPrimitive => "integer",
        var t when t.IsGenericType && t.GetGenericTypeDefinition() == typeof(IReadOnlyDictionary<,>) => "object",
        var t when t.IsGenericType => "array",
        _ => null,
    };
}
