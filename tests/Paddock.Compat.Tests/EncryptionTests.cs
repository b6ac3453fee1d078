namespace Paddock.Compat.Tests;

/// <summary>Encrypted images by the compatible tools: what QEMU's print, and images that both open.</summary>
public sealed class EncryptionTests : IDisposable
{
    private const string Secrets = "--object secret,id=s,data=hello --object secret,id=n,data=world";

    private readonly ImgPeer _peer = new();

    public void Dispose() => _peer.Dispose();

    [Theory]
    [InlineData("qcow2", "encrypt.", "encrypt.format=luks,")]
    [InlineData("luks", "", "")]
    public async Task Key_slots_are_changed_and_refused_as_by_qemu(string format, string prefix, string more)
    {
        string path = _peer.Path("disk");
        var made = await _peer.OursAsync($"create {Secrets} -q -f {format} -o {more}{prefix}key-secret=s,{prefix}iter-time=1 {path} 1M");
        Assert.Equal((0, ""), (made.Code, made.Error));
        string image = $"--image-opts driver={format},{prefix}key-secret=s,file.filename={path}";
        foreach (string options in new[]
        {
            "new-secret=n", "state=odd", "state=active", "state=active,new-secret=none", "state=active,new-secret=n,old-secret=s",
            "state=active,new-secret=n,keyslot=8", "state=active,new-secret=n,keyslot=0", "state=inactive", "state=inactive,keyslot=0",
            "state=inactive,keyslot=3", "state=inactive,old-secret=n", "state=inactive,new-secret=n", "state=inactive,old-secret=s",
        })
        {
            string given = string.Join(',', options.Split(',').Select(o => prefix + o));
            Assert.Equal(1, (await _peer.SameAsync($"amend {Secrets} {image} -o {given}")).Code);
        }

        var added = await _peer.OursAsync(
            $"amend {Secrets} {image} -o {prefix}state=active,{prefix}new-secret=n,{prefix}iter-time=1");
        Assert.Equal((0, ""), (added.Code, added.Error));
        Assert.Equal(0, (await _peer.OursAsync($"amend {Secrets} {image} -o {prefix}state=inactive,{prefix}old-secret=s")).Code);
        Assert.Equal(1, (await _peer.SameAsync($"map {Secrets} --output=json {image}")).Code);
        image = image.Replace("secret=s", "secret=n", StringComparison.Ordinal);
        Assert.Equal(0, (await _peer.SameAsync($"map {Secrets} --output=json {image}")).Code);
        Assert.Equal(0, (await _peer.SameAsync($"info {path}")).Code);
    }

    [Theory]
    [InlineData("secret,id=s")]
    [InlineData("secret,data=x")]
    [InlineData("secret,id=s,data=x,file=y")]
    [InlineData("secret,id=s,file=/no/such/file")]
    [InlineData("secret,id=s,data=x,format=hex")]
    [InlineData("secret,id=s,data=!!!,format=base64")]
    [InlineData("secret,id=s,data=x,keyid=z")]
    [InlineData("secret,id=1s,data=x")]
    [InlineData("secret,id=s,data=x --object secret,id=s,data=y")]
    [InlineData("secret,id=m,data=short --object secret,id=s,data=aaaa,keyid=m,iv=aaaa,format=base64")]
    [InlineData("odd,id=s")]
    public async Task Invalid_object_is_rejected_in_the_words_of_qemu(string value)
        => Assert.Equal(1, (await _peer.SameAsync($"info --object {value} {_peer.Path("none")}")).Code);

    [Theory]
    [InlineData("encrypt.format=luks")]
    [InlineData("encrypt.format=luks,encrypt.key-secret=z")]
    [InlineData("encrypt.format=odd,encrypt.key-secret=s")]
    [InlineData("encrypt.key-secret=s")]
    [InlineData("encryption=on")]
    [InlineData("encryption=on,encrypt.format=luks,encrypt.key-secret=s")]
    [InlineData("encrypt.format=aes,encrypt.key-secret=s,encrypt.cipher-alg=aes-256")]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=odd")]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s,encrypt.hash-alg=odd")]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=cast5-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv")]
    public async Task Invalid_encryption_is_rejected_in_the_words_of_qemu(string options)
        => Assert.Equal(1, (await _peer.SameAsync($"create {Secrets} -f qcow2 -o {options} {_peer.Path("disk")} 1M")).Code);

    [Fact]
    public async Task Size_that_the_file_system_rejects_leaves_the_contents_of_an_existing_file()
    {
        byte[] contents = [.. Enumerable.Repeat((byte)7, 4096)];
        await File.WriteAllBytesAsync(_peer.Path("disk"), contents, TestContext.Current.CancellationToken);
        var run = await _peer.OursAsync($"create {Secrets} -f luks -o key-secret=s,iter-time=1 {_peer.Path("disk")} 8000P");
        Assert.Equal(1, run.Code);
        Assert.Equal(contents, await File.ReadAllBytesAsync(_peer.Path("disk"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task No_message_has_any_part_of_a_secret()
    {
        string path = _peer.Path("disk");
        const string Secret = "--object secret,id=s,data=sesame99";
        await _peer.OursAsync($"create {Secret} -q -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1 {path} 1M");
        string image = $"--image-opts driver=qcow2,encrypt.key-secret=s,file.filename={path}";
        foreach (string line in new[]
        {
            $"check --object secret,id=s,data=other77 {image}",
            $"info --object secret,id=s,data=other77,format=base64 {path}",
            $"amend {Secret} {image} -o encrypt.state=inactive,encrypt.keyslot=0",
        })
        {
            var run = await _peer.OursAsync(line);
            Assert.NotEqual(0, run.Code);
            Assert.DoesNotContain("sesame99", run.Out + run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("other77", run.Out + run.Error, StringComparison.Ordinal);
        }
    }
}
