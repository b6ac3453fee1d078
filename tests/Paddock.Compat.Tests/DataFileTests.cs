using Paddock.Block;
using Paddock.Images;

namespace Paddock.Compat.Tests;

/// <summary>Images with an external data file, beside QEMU's tools.</summary>
public sealed class DataFileTests : IDisposable
{
    private readonly ImgPeer _peer = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _peer.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData(",data_file_raw=on")]
    [InlineData(",preallocation=metadata,cluster_size=4k")]
    [InlineData(",preallocation=falloc")]
    [InlineData(",data_file_raw=on,preallocation=full")]
    public async Task Created_image_looks_like_QEMUs(string options)
    {
        string create = $"create -f qcow2 -o data_file=@data{options} @image 10M";
        await _peer.SameAsync(create);
        await _peer.SameAsync("info @image");
        Assert.Equal(0, (await _peer.OursAsync(create)).Code);
        Assert.Equal(10 << 20, new FileInfo(_peer.Path("data")).Length);
        await _peer.SameAsync("info @image");
        await _peer.SameAsync("info --output=json @image");
        await _peer.SameAsync("map --output=json @image");
        await _peer.SameAsync("check @image");
        Assert.Equal(0, (await _peer.IoAsync("image", "write -P 1 1M 1M", "write -P 2 0 64k", "write -z 3M 128k")).Code);
        await _peer.SameAsync("map @image");
        await _peer.SameAsync("map --output=json @image");
        await _peer.SameAsync("check @image");
        await _peer.SameAsync("measure -O qcow2 @image");
    }

    [Theory]
    [InlineData("-o data_file_raw=on @image 1M")]
    [InlineData("-o data_file=@data,data_file_raw=on -b @base -F raw @image 1M")]
    [InlineData("-o data_file=@data,compat=0.10 @image 1M")]
    [InlineData("-o data_file=@no/such/data @image 1M")]
    [InlineData("-o data_file= @image 1M")]
    public async Task Refused_creation_has_QEMUs_words_and_leaves_no_file(string line)
    {
        await File.WriteAllBytesAsync(_peer.Path("base"), new byte[1 << 20], Token);
        await _peer.SameAsync("create -f qcow2 " + line);
        Assert.False(File.Exists(_peer.Path("image")));
        Assert.False(File.Exists(_peer.Path("data")));
    }

    [Theory]
    [InlineData("create -f qcow2 -o data_file=@base -b @base -F raw @image")]
    [InlineData("convert -O qcow2 -B @base -F raw -o data_file=@base @source @image")]
    [InlineData("convert -U -O qcow2 -o data_file=@base @source @base @image")]
    public async Task Data_file_of_a_new_image_is_no_file_that_it_reads_from(string line)
    {
        byte[] contents = new byte[1 << 20];
        contents.AsSpan(4096, 4096).Fill(7);
        await File.WriteAllBytesAsync(_peer.Path("base"), contents, Token);
        await File.WriteAllBytesAsync(_peer.Path("source"), contents, Token);
        var run = await _peer.OursAsync(line);
        Assert.Contains("which would be lost", run.Error, StringComparison.Ordinal);
        Assert.Equal(contents, await File.ReadAllBytesAsync(_peer.Path("base"), Token));
        Assert.False(File.Exists(_peer.Path("image")));
    }

    [Fact]
    public async Task Data_file_of_a_backing_image_is_taken_only_while_it_is_empty()
    {
        const string Overlay = "create -f qcow2 -o data_file=@data -b @middle -F qcow2 @image";
        Assert.Equal(0, (await _peer.OursAsync("create -q -f qcow2 -o data_file=@data @under 1M")).Code);
        Assert.Equal(0, (await _peer.OursAsync("create -q -f qcow2 -b @under -F qcow2 @middle")).Code);
        Assert.Equal(0, (await _peer.OursAsync(Overlay)).Code);
        Assert.Equal(0, (await _peer.IoAsync("under", "write -P 7 0 64k")).Code);
        Assert.Contains("which would be lost", (await _peer.OursAsync(Overlay)).Error, StringComparison.Ordinal);
        Assert.Equal(0, (await _peer.IoAsync("under", "read -P 7 0 64k")).Code);
    }

    [Fact]
    public async Task Image_is_not_its_own_data_file()
    {
        await File.WriteAllBytesAsync(_peer.Path("image"), [1, 2, 3], Token);
        Assert.Equal(1, (await _peer.OursAsync("create -f qcow2 -o data_file=@image @image 1M")).Code);
        Assert.Equal([1, 2, 3], await File.ReadAllBytesAsync(_peer.Path("image"), Token));
    }

    [Fact]
    public async Task Missing_data_file_is_named()
    {
        await _peer.TheirsAsync("create -q -f qcow2 -o data_file=@data @image 1M");
        File.Delete(_peer.Path("data"));
        foreach (string command in new[] { "info", "check", "map", "measure -O qcow2" })
        {
            await _peer.SameAsync($"{command} @image");
        }
    }

    [Fact]
    public async Task Options_name_the_data_file()
    {
        await _peer.TheirsAsync("create -q -f qcow2 -o data_file=@data @image 1M");
        await _peer.TheirsAsync("create -q -f qcow2 @plain 1M");
        File.Move(_peer.Path("data"), _peer.Path("other"));
        foreach (string open in new[]
        {
            "open -o data-file.filename=@other @image", "open -o data-file.driver=file,data-file.filename=@other @image",
            "open -o data-file.filename=@none @image", "open -o data-file=node @image", "open -o data-file.filename=@other @plain",
            "open @image",
        })
        {
            await _peer.SameIoAsync(open, "read -P 0 0 64k");
        }
    }

    [Fact]
    public async Task Conversion_to_and_from_a_data_file_keeps_the_disk()
    {
        await _peer.TheirsAsync("create -q -f qcow2 @source 4M");
        await _peer.IoAsync("source", "write -P 5 1M 1M", "write -P 6 3M 512");
        foreach (string raw in new[] { "off", "on" })
        {
            Assert.Equal(0, (await _peer.OursAsync($"convert -O qcow2 -o data_file=@data,data_file_raw={raw} @source @copy")).Code);
            Assert.Equal(0, (await _peer.TheirsAsync("compare @source @copy")).Code);
            Assert.Equal(0, (await _peer.TheirsAsync("check @copy")).Code);
            Assert.Equal(0, (await _peer.OursAsync("convert -O raw @copy @back")).Code);
            Assert.Equal(0, (await _peer.TheirsAsync("compare -F raw @source @back")).Code);
        }

        await _peer.SameAsync("convert -c -O qcow2 -o data_file=@data @source @copy");
        Assert.Equal(1, (await _peer.OursAsync("convert -O raw @copy @data")).Code);
        Assert.Equal(1, (await _peer.OursAsync("convert -O qcow2 -o data_file=@source @source @third")).Code);
    }

    [Theory]
    [InlineData("data", true)]
    [InlineData("sub/data", false)]
    [InlineData("link", false)]
    public async Task Policy_for_backing_files_holds_for_data_files(string name, bool taken)
    {
        Directory.CreateDirectory(_peer.Path("sub"));
        await File.WriteAllBytesAsync(_peer.Path("sub/data"), new byte[65536], Token);
        await File.WriteAllBytesAsync(_peer.Path("data"), new byte[65536], Token);
        File.CreateSymbolicLink(_peer.Path("link"), "sub/data");
        await ImageAsync("image", name);
        var failure = await Record.ExceptionAsync(() => OpenAsync("image", BackingPolicy.SameDirectory));
        Assert.Equal(taken, failure is null);
        Assert.True(taken || failure!.Message.Contains("the data file", StringComparison.Ordinal), failure?.Message);
        var none = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("image", BackingPolicy.None));
        Assert.Contains("data files are not allowed here (see --backing)", none.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("json:{\"driver\":\"null-co\"}")]
    [InlineData("nbd://127.0.0.1:1/x")]
    public async Task Stored_name_is_a_path_and_nothing_else(string name)
    {
        await ImageAsync("image", name);
        var e = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("image", BackingPolicy.Any));
        Assert.Contains("No such file or directory", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Image_that_names_itself_as_its_data_file_is_rejected()
    {
        await ImageAsync("image", _peer.Path("image"));
        var e = await Assert.ThrowsAsync<ToolException>(() => OpenAsync("image", BackingPolicy.Any));
        Assert.Contains("is an image of the chain", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Library_creates_and_opens_a_data_file()
    {
        string image = _peer.Path("image"), data = _peer.Path("data");
        var options = new Qcow2.Qcow2CreateOptions { DataFile = data, DataFileRaw = true };
        await using (var disk = await Qcow2Disk.CreateAsync(image, 1 << 20, options, cancellationToken: Token))
        {
            await disk.WriteAsync(4096, new byte[] { 1, 2, 3, 4 }, cancellationToken: Token);
        }

        Assert.Equal([1, 2, 3, 4], (await File.ReadAllBytesAsync(data, Token))[4096..4100]);
        await Assert.ThrowsAsync<BlockException>(() => Qcow2Disk.OpenAsync(image, cancellationToken: Token));
        await Assert.ThrowsAsync<BlockException>(
            () => Qcow2Disk.CreateAsync(_peer.Path("next"), 1 << 20, options, cancellationToken: Token));
        await using var again = await Qcow2Disk.OpenAsync(image, new DiskOptions { Backing = BackingPolicy.Any }, Token);
        Assert.True(again.Info.DataFileRaw);
    }

    private async Task ImageAsync(string name, string dataFile)
    {
        await using var storage = new MemoryStorage();
        await using var data = new MemoryStorage();
        await Qcow2.Qcow2Image.CreateAsync(
            storage, data, new Qcow2.Qcow2CreateOptions { Size = 65536, DataFile = dataFile }, Token);
        byte[] bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes, Token);
        await File.WriteAllBytesAsync(_peer.Path(name), bytes, Token);
    }

    private async Task OpenAsync(string name, BackingPolicy policy)
    {
        var opener = new ImageOpener("t", TextWriter.Null) { Backing = policy };
        await using var node = await opener.OpenAsync(_peer.Path(name), new OpenSettings { ReadOnly = false });
        await node.Device.ReadAsync(0, new byte[512], Token);
    }
}
