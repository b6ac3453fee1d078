using Paddock.Compat.Img;
using Paddock.Compat.Nbd;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>Runs our qemu-img and qemu-nbd in this process.</summary>
internal static class Ours
{
    /// <summary>Runs our qemu-img, which must succeed.</summary>
    public static async Task<string> ImgAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await ImgTool.RunAsync(words, new ToolContext { Program = "qemu-img", Out = output, Error = error });
        Assert.True(code == 0, $"{string.Join(' ', words)}: {code}\n{output}{error}");
        return output.ToString();
    }

    /// <summary>Runs our qemu-nbd.</summary>
    public static async Task<PeerRun> NbdAsync(CancellationToken stop, params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await NbdTool.RunAsync(words, new ToolContext { Program = "qemu-nbd", Out = output, Error = error }, ["nbd"], stop);
        return new PeerRun(code, output.ToString(), error.ToString());
    }
}
