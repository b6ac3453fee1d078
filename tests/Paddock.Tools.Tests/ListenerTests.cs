using System.Net.Sockets;

namespace Paddock.Tools.Tests;

public sealed class ListenerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-listen-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_socket_that_nobody_answers_is_replaced_and_one_that_is_in_use_is_not()
    {
        string path = Path.Combine(_folder, "s");
        using (var first = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            first.Bind(new UnixDomainSocketEndPoint(path));
        }

        using var second = Listeners.Unix(path);
        Assert.Throws<SocketException>(() => Listeners.Unix(path));
        Assert.True(File.Exists(path));
    }

    [Fact]
    public void A_file_with_something_in_it_is_left_alone()
    {
        string path = Path.Combine(_folder, "disk");
        File.WriteAllText(path, "data");
        Assert.Throws<SocketException>(() => Listeners.Unix(path));
        Assert.Equal("data", File.ReadAllText(path));
    }
}
