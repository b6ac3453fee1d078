namespace Paddock.Rbd.Tests;

/// <summary>Names of images as QEMU writes them.</summary>
public class TargetTests
{
    [Theory]
    [InlineData("rbd:p/i", "p", "", "i", null)]
    [InlineData("rbd:p/n/i", "p", "n", "i", null)]
    [InlineData("rbd:p/i@s", "p", "", "i", "s")]
    [InlineData("rbd:p/n/i@s:id=u", "p", "n", "i", "s")]
    [InlineData(@"rbd:p\/q/i\:j\@k@s\\t", "p/q", "", "i:j@k", @"s\t")]
    [InlineData("rbd:p/i:conf=/a@b/c.conf", "p", "", "i", null)]
    public void Name_has_pool_namespace_image_and_snapshot(string name, string pool, string space, string image, string? snapshot)
    {
        var target = RbdTarget.Parse(name);
        Assert.Equal((pool, space, image, snapshot), (target.Pool, target.Namespace, target.Image, target.Snapshot));
    }

    [Fact]
    public void Options_follow_the_image_in_any_order()
    {
        var target = RbdTarget.Parse(@"rbd:p/i:mon_host=1.2.3.4\:6789:id=me:conf=/etc/x.conf:rbd_cache=false");
        Assert.Equal(("me", "/etc/x.conf"), (target.User, target.ConfigurationFile));
        Assert.Equal([KeyValuePair.Create("mon_host", "1.2.3.4:6789"), KeyValuePair.Create("rbd_cache", "false")], target.Options);
    }

    [Theory]
    [InlineData("rbd:p", "Pool name is required")]
    [InlineData("rbd:p:x/i", "Pool name is required")]
    [InlineData("rbd:p/", "name of the image is missing")]
    [InlineData("rbd:/i", "name of the pool is missing")]
    [InlineData("rbd:p/i@", "name of the snapshot is missing")]
    [InlineData("rbd:p/i:conf", "conf option conf has no value")]
    public void Malformed_name_is_rejected(string name, string why)
        => Assert.Contains(why, Assert.Throws<FormatException>(() => RbdTarget.Parse(name)).Message, StringComparison.Ordinal);

    [Fact]
    public void Name_longer_than_rbd_allows_is_rejected()
        => Assert.Contains(
            "96 bytes", Assert.Throws<FormatException>(() => RbdTarget.Parse("rbd:p/" + new string('x', 96))).Message,
            StringComparison.Ordinal);

    [Fact]
    public void Key_in_a_name_is_rejected_and_not_repeated()
    {
        string message = Assert.Throws<FormatException>(() => RbdTarget.Parse("rbd:p/i:key=QVFC")).Message;
        Assert.Contains("keyring=", message, StringComparison.Ordinal);
        Assert.Contains("key-secret", message, StringComparison.Ordinal);
        Assert.DoesNotContain("QVFC", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Key_is_never_part_of_a_name()
        => Assert.DoesNotContain("QVFC", (RbdTarget.Parse("rbd:p/i") with { Key = "QVFC" }).ToString(), StringComparison.Ordinal);

    [Fact]
    public void Random_targets_are_parsed_from_their_names()
    {
        var random = new Random(TestSeed.Next());
        for (int i = 0; i < 2000; i++)
        {
            var target = new RbdTarget
            {
                Pool = Text(random), Namespace = random.Next(2) == 0 ? "" : Text(random), Image = Text(random),
                Snapshot = random.Next(2) == 0 ? null : Text(random), User = random.Next(2) == 0 ? null : Text(random),
                ConfigurationFile = random.Next(2) == 0 ? null : Text(random),
                Options = [.. Enumerable.Range(0, random.Next(3)).Select(n => KeyValuePair.Create($"o{n}" + Text(random), Text(random)))],
            };
            string name = target.ToString();
            var parsed = RbdTarget.Parse(name);
            Assert.Equal(target.Options, parsed.Options);
            Assert.Equal(target with { Options = [] }, parsed with { Options = [] });
        }
    }

    [Fact]
    public void Missing_library_is_reported_with_its_package()
    {
        var failure = Assert.Throws<Paddock.Block.BlockException>(() => Native.CephLibraries.Require("librbd-absent.so.1", "librbd1"));
        Assert.Equal(Paddock.Block.BlockError.NotSupported, failure.Error);
        Assert.Contains("librbd-absent.so.1", failure.Message, StringComparison.Ordinal);
        Assert.Contains("install the package librbd1", failure.Message, StringComparison.Ordinal);
    }

    private static string Text(Random random)
    {
        const string Characters = @"ab1-._ :@/=\é";
        return new([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => Characters[random.Next(Characters.Length)])]);
    }
}
