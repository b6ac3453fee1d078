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
    public void Several_addresses_are_paths_to_one_subsystem()
    {
        var options = NvmeName.Parse($"nvme+tcp://a:1,[::1]:2,b,[fe80::2]/{Nqn}?ns=3", isTyped: true).Options;
        Assert.Equal(("a", 1), (options.Host, options.Port));
        Assert.Equal([new("::1", 2), new("b", 4420), new("fe80::2", 4420)], options.OtherAddresses);
        Assert.Equal(TimeSpan.FromSeconds(30), options.ReconnectTime);
        Assert.Equal(TimeSpan.Zero, NvmeName.Parse($"nvme+tcp://a,b/{Nqn}?reconnect=0", isTyped: true).Options.ReconnectTime);
    }

    [Fact]
    public void Port_option_is_that_of_addresses_without_one()
    {
        var options = new QDict().With("host", "a:1,[::1],b").With("port", "7").With("nqn", Nqn);
        var parsed = NvmeName.Parse(NvmeName.Of(options), isTyped: true).Options;
        Assert.Equal(("a", 1), (parsed.Host, parsed.Port));
        Assert.Equal([new("::1", 7), new("b", 7)], parsed.OtherAddresses);
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
    [InlineData("nvme+tcp://", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h:70000/n", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://a,/n", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://a,b:x/n", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://a,b,a:4420/n", "3 addresses; expected 1 to 8, all different")]
    [InlineData("nvme+tcp://a,b,c,d,e,f,g,h,i/n", "9 addresses; expected 1 to 8, all different")]
    [InlineData("nvme+tcp:///n", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h/n?ns=-1", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h/n?ns=1&ns=2", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h/n?ns=1&colour=red", "expected nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN")]
    [InlineData("nvme+tcp://h/n?reconnect=soon", "no number of seconds")]
    [InlineData("nvme+tcp://h/n?reconnect=86401", "no number of seconds")]
    public void Another_name_is_refused(string name, string says)
    {
        var error = Assert.ThrowsAny<ToolException>(() => NvmeName.Parse(name, isTyped: true));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }
}
