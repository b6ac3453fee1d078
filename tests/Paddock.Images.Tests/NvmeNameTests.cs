using Paddock.Images.Nodes;
using Paddock.Images.Text;

namespace Paddock.Images.Tests;

/// <summary>Names of remote namespaces, and equivalent options.</summary>
public class NvmeNameTests
{
    private const string Nqn = "nqn.2026-01.io.paddock:disk";

    [Fact]
    public void A_bare_name_leaves_the_rest_to_the_usual()
    {
        var name = NvmeName.Parse($"nvme+tcp://drive.lab/{Nqn}", isTyped: true);
        Assert.Equal(("drive.lab", 4420, Nqn, 1u), (name.Options.Host, name.Options.Port, name.Options.SubsystemNqn, name.Namespace));
        Assert.Equal(TimeSpan.FromSeconds(5), name.Options.ReconnectTime);
    }

    [Theory]
    [InlineData("ns=3&reconnect=0&hostnqn=nqn.2014-08.org.example%3Ahost")]
    [InlineData("reconnect=0&hostnqn=nqn.2014-08.org.example:host&ns=3")]
    [InlineData("hostnqn=nqn.2014-08.org.example:host&reconnect=0&ns=3")]
    public void Keys_come_in_any_order(string query)
    {
        var name = NvmeName.Parse($"nvme+tcp://[::1]:9/{Nqn}?{query}", isTyped: true);
        Assert.Equal(("::1", 9, 3u, TimeSpan.Zero), (name.Options.Host, name.Options.Port, name.Namespace, name.Options.ReconnectTime));
        Assert.Equal("nqn.2014-08.org.example:host", name.Options.HostNqn);
    }

    [Fact]
    public void A_question_mark_may_stand_in_a_subsystems_name()
        => Assert.Equal(Nqn + "?x", NvmeName.Parse($"nvme+tcp://h/{Nqn}?x?ns=2", isTyped: true).Options.SubsystemNqn);

    [Fact]
    public void Options_say_the_same()
    {
        var options = new QDict();
        foreach (var (key, value) in new[] { ("host", "h"), ("port", "7"), ("nqn", Nqn), ("namespace", "2"), ("reconnect", "60"),
            ("hostnqn", "nqn.a:b&c") })
        {
            options.With(key, value);
        }

        var name = NvmeName.Parse(NvmeName.Of(options), isTyped: true);
        Assert.Equal(("h", 7, Nqn, 2u), (name.Options.Host, name.Options.Port, name.Options.SubsystemNqn, name.Namespace));
        Assert.Equal((TimeSpan.FromMinutes(1), "nqn.a:b&c"), (name.Options.ReconnectTime, name.Options.HostNqn));
    }

    [Theory]
    [InlineData("nvme+tcp://", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h:70000/n", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp:///n", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h/n?ns=-1", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h/n?ns=1&ns=2", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h/n?ns=1&colour=red", "expected nvme+tcp://HOST:PORT/NQN")]
    [InlineData("nvme+tcp://h/n?reconnect=soon", "no number of seconds")]
    [InlineData("nvme+tcp://h/n?reconnect=86401", "no number of seconds")]
    public void Another_name_is_refused(string name, string says)
    {
        var error = Assert.ThrowsAny<ToolException>(() => NvmeName.Parse(name, isTyped: true));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }
}
