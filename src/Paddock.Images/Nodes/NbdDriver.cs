using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The driver nbd: an export of a server.</summary>
internal sealed class NbdDriver() : NodeDriver(NbdNode.Driver, NodeKind.Protocol)
{
    private static readonly string[] Strong = ["path", "host", "port", "export", "tls-creds", "tls-hostname", "server."];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var options = opening.Options;
        (string Path, Block.IStorage Storage)? opened;
        if (options["filename"] is string)
        {
            // options of the file, as they would stand beside its name in the image over it
            var file = new QDict();
            foreach (var (key, value) in options.InOrder.ToArray())
            {
                file["file." + key] = options.Take(key) ?? value;
            }

            opened = await NbdNode.TryOpenAsync(null, file, null, opening.Settings);
        }
        else
        {
            opened = await NbdNode.TryOpenAsync(null, options, NbdNode.Driver, opening.Settings);
        }

        var storage = opened!.Value.Storage;

        // what another context than that of allocation says is passed on as it is
        return storage is NbdStorage { Disk: { Client.Target.StatusContext: not null } disk }
            ? new ImageNode { Driver = Name, Storage = storage, Device = CheckedDevice.Wrap(disk) }
            : new ImageNode { Driver = Name, Storage = storage };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged) => node.Storage.Name;
}
