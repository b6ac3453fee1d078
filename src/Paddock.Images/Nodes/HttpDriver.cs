using System.Text;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The drivers http and https: files at a server, for reading only.</summary>
/// <param name="name">The scheme.</param>
internal sealed class HttpDriver(string name) : NodeDriver(name, NodeKind.Protocol)
{
    private static readonly string[] Strong = ["url", "sslverify", "username", "password-secret", "cookie", "cookie-secret"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options) => options["url"] = filename;

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        if (opening.Settings.Admit is not null)
        {
            throw new ToolException(
                $"'{opening.Options["url"]}': an image must not name an address in the network; open the chain with options that "
                + "name it");
        }

        var source = HttpSource.From(
            opening.Options, Name, id => Encoding.UTF8.GetString(SecretObjects.Passphrase(opening.Settings.Objects, id)));
        if (!opening.Settings.ReadOnly)
        {
            throw new ToolException("curl block device does not support writes");
        }

        return new ImageNode { Driver = Name, Storage = await HttpStorage.OpenAsync(source, opening.Settings.Stop) };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged)
        => Strong.Skip(1).Any(o => node.FullOptions?.Contains(o) == true) ? null : node.Storage.Name;
}
