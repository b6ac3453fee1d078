using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nbd;
using Paddock.Nbd.Transport;

namespace Paddock.Compat.Nbd;

/// <summary><c>-L</c>: lists the exports of a server.</summary>
internal static class NbdList
{
    // by the bits of the transmission flags, from bit 1 on
    private static readonly string[] FlagNames =
    [
        "readonly", "flush", "fua", "rotational", "trim", "zeroes", "df", "multi", "resize", "cache", "fast-zero", "block-status-payload",
    ];

    public static async Task<int> RunAsync(NbdArguments given, ToolContext ctx)
    {
        UserObjects.Check(given.Objects);
        using var credentials = given.TlsCreds is { } id ? Credentials(given, id, isServer: false) : null;
        if (given.Port is { } port && !ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            throw new ToolException(
                $"address resolution failed for {given.Bind ?? "0.0.0.0"}:{port}: Servname not supported for ai_socktype");
        }

        var target = new NbdTarget
        {
            SocketPath = given.SocketPath,
            Host = given.Bind ?? "0.0.0.0",
            Port = given.Port is null ? NbdTarget.DefaultPort : int.Parse(given.Port, CultureInfo.InvariantCulture),
            Tls = credentials,
            TlsHostname = given.TlsHostname,
        };
        var exports = await NbdClient.ListAsync(target);
        ctx.Line($"exports available: {exports.Count}");
        foreach (var export in exports)
        {
            Print(ctx, export);
        }

        return 0;
    }

    /// <summary>Loads the object of --tls-creds.</summary>
    public static TlsCredentials Credentials(NbdArguments given, string id, bool isServer)
    {
        try
        {
            return TlsObjects.Load(given.Objects, id, isServer);
        }
        catch (ToolException e) when (UserObjects.Find(given.Objects, id)?["qom-type"] is not ("tls-creds-x509" or "tls-creds-psk")
            || e.Message.StartsWith("Expected TLS", StringComparison.Ordinal))
        {
            throw new ToolException("Failed to get TLS creds: " + e.Message);
        }
    }

    private static void Print(ToolContext ctx, NbdExportInfo export)
    {
        ctx.Line($" export: '{EscapedText.Escape(export.Name)}'");
        if (export.Description.Length > 0)
        {
            ctx.Line($"  description: {EscapedText.Escape(export.Description)}");
        }

        if ((export.Flags & 1) != 0)
        {
            var names = FlagNames.Where((_, bit) => (export.Flags & (2 << bit)) != 0);
            ctx.Line($"  size:  {export.Size}");
            ctx.Line($"  flags: 0x{export.Flags:x} ( {string.Join(' ', names)} )");
        }

        if (export.PreferredBlock != 0)
        {
            ctx.Line($"  min block: {export.MinimumBlock}");
            ctx.Line($"  opt block: {export.PreferredBlock}");
            ctx.Line($"  max block: {export.MaximumPayload}");
        }

        ctx.Line($"  transaction size: {(export.Headers == 2 ? "64" : "32")}-bit");
        if (export.Contexts.Count > 0)
        {
            ctx.Line($"  available meta contexts: {export.Contexts.Count}");
            foreach (string context in export.Contexts)
            {
                ctx.Line($"   {EscapedText.Escape(context)}");
            }
        }
    }
}
