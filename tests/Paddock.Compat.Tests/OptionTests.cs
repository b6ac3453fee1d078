using System.Text.RegularExpressions;
using Paddock.Compat.Io;
using Paddock.Compat.Nbd;

namespace Paddock.Compat.Tests;

/// <summary>Every option of the compatible tools either works or is rejected; none is accepted and ignored.</summary>
public sealed partial class OptionTests
{
    // COMMAND | OPTION | a line that uses it | what its rejection names; empty: it works
    private const string Table =
        """
        amend|-q|amend -q -f qcow2 -o size=3M @q|
        amend|-p|amend -p -f qcow2 -o size=3M @q|
        amend|-f|amend -f qcow2 -o size=3M @q|
        amend|--image-opts|amend --image-opts -o size=3M driver=qcow2,file.filename=@q|
        amend|-t|amend -t none -o size=3M @q|
        amend|-t|amend -t foo -o size=3M @q|Invalid cache option: foo
        amend|--force|amend --force -o size=3M @q|
        amend|-o|amend -o compat=0.10 @q|
        amend|-o|amend -o cluster_size=4k @q|only supported for image creation
        amend|-o|amend -o no_such=1 @q|Invalid parameter 'no_such'
        bench|-q|bench -q -c 1 -f raw @in|
        bench|-f|bench -f raw -c 1 @in|
        bench|--image-opts|bench --image-opts -c 1 driver=raw,file.filename=@in|
        bench|-t|bench -t none -c 1 -f raw @in|
        bench|-c|bench -c 0 -f raw @in|request count
        bench|-s|bench -s 512 -c 1 -f raw @in|
        bench|-d|bench -d 0 -f raw @in|queue depth
        bench|-o|bench -o 4k -c 1 -f raw @in|
        bench|-S|bench -S 8k -c 1 -f raw @in|
        bench|-i|bench -i native -c 1 -f raw @in|cache.direct=on
        bench|-i|bench -i foo -c 1 -f raw @in|Invalid aio option
        bench|-n|bench -n -c 1 -f raw @in|cache.direct=on
        bench|-w|bench -w -c 1 -f raw @in|
        bench|--pattern|bench -w --pattern 256 -c 1 -f raw @in|pattern byte
        bench|--flush-interval|bench --flush-interval 1 -c 1 -f raw @in|--flush-interval is only available in write tests
        bench|--no-drain|bench --no-drain -w -c 1 -f raw @in|
        bench|-U|bench -U -c 1 -f raw @in|
        bitmap|-f|bitmap -f foo --add @q b|Unknown driver 'foo'
        bitmap|--image-opts|bitmap --image-opts --add driver=qcow2,file.filename=@q b|
        bitmap|--object|bitmap --object foo --add @q b|Parameter 'qom-type'
        bitmap|--add|bitmap --add @q b|
        bitmap|--remove|bitmap --remove @q b|not found
        bitmap|--clear|bitmap --clear @q b|not found
        bitmap|--enable|bitmap --enable @q b|not found
        bitmap|--disable|bitmap --disable @q b|not found
        bitmap|--merge|bitmap --merge other @q b|not found
        bitmap|-g|bitmap -g 3 --add @q b|power of 2
        bitmap|-b|bitmap -b @missing --merge other @q b|Could not open
        bitmap|-F|bitmap -F raw --merge other @q b|only supported with -b
        check|-q|check -q @q|
        check|-f|check -f raw @q|does not support checks
        check|--image-opts|check --image-opts driver=qcow2,file.filename=@q|
        check|-T|check -T foo @q|Invalid source cache option: foo
        check|-U|check -U -r all @q|force-share=on
        check|--output|check --output foo @q|--output expects
        check|-r|check -r foo @q|expects 'leaks' or 'all'
        check|--object|check --object foo @q|Parameter 'qom-type'
        commit|-q|commit -q @over|
        commit|-p|commit -p @over|
        commit|-f|commit -f foo @over|Unknown driver 'foo'
        commit|--image-opts|commit --image-opts driver=qcow2,file.filename=@over|
        commit|-t|commit -t foo @over|Invalid cache option: foo
        commit|-b|commit -b nothing @over|Did not find 'nothing'
        commit|-d|commit -d @over|
        commit|-r|commit -r x @over|Invalid rate limit
        commit|--object|commit --object foo @over|Parameter 'qom-type'
        compare|-q|compare -q @q @q|
        compare|-p|compare -p @q @q|
        compare|-f|compare -f raw @q @q|mismatch
        compare|-F|compare -F raw @q @q|mismatch
        compare|--image-opts|compare --image-opts -F raw driver=qcow2,file.filename=@q @q|mutually exclusive
        compare|-s|compare -s -f raw -F raw @in @small|Image size mismatch!
        compare|-T|compare -T foo @q @q|Invalid source cache option: foo
        compare|-U|compare -U @q @q|
        compare|--object|compare --object foo @q @q|Parameter 'qom-type'
        convert|-q|convert -q -f raw -O raw @in @new|
        convert|-p|convert -p -f raw -O raw @in @new|
        convert|-f|convert -f qcow2 -O raw @in @new|Could not open
        convert|--source-image-opts|convert --source-image-opts -O raw driver=raw,file.filename=@in @new|
        convert|-l|convert -l snap -f raw -O raw @in @new|snapshot
        convert|-T|convert -T none -f raw -O raw @in @new|
        convert|-O|convert -O foo -f raw @in @new|Unknown file format 'foo'
        convert|--target-image-opts|convert --target-image-opts -f raw @in driver=raw,file.filename=@new|requires use of -n flag
        convert|-o|convert -o no_such=1 -f raw @in @new|Invalid parameter 'no_such'
        convert|-c|convert -c -f raw -O raw @in @new|Compression not supported
        convert|-t|convert -t none -f raw -O raw @in @new|
        convert|-B|convert -B @q -f raw -O qcow2 @in @new|explicit backing format
        convert|-F|convert -F raw -f raw -O qcow2 @in @new|Backing format cannot be used without backing file
        convert|-n|convert -n -f raw -O raw @in @missing|Could not open
        convert|--target-is-zero|convert --target-is-zero -f raw -O raw @in @new|requires use of -n flag
        convert|-S|convert -S 100 -f raw -O raw @in @new|Valid sizes
        convert|--bitmaps|convert --bitmaps -f raw -O qcow2 @in @new|Source lacks bitmap support
        convert|--skip-broken-bitmaps|convert --skip-broken-bitmaps -f raw -O qcow2 @in @new|requires --bitmaps
        convert|-U|convert -U -f raw -O raw @in @new|
        convert|-r|convert -r 0x -f raw -O raw @in @new|Invalid rate limit
        convert|-m|convert -m 17 -f raw -O raw @in @new|between 1 and 16
        convert|-C|convert -C -c -f raw -O qcow2 @in @new|copy offloading
        convert|--salvage|convert --salvage -f raw -O raw @in @new|
        convert|-W|convert -W -f raw -O raw @in @new|
        convert|--object|convert --object foo -f raw -O raw @in @new|Parameter 'qom-type'
        create|-q|create -q -f raw @new 1M|
        create|-f|create -f foo @new 1M|Unknown file format
        create|-o|create -f qcow2 -o no_such=1 @new 1M|Invalid parameter 'no_such'
        create|-b|create -f qcow2 -b @missing -F raw @new 1M|Could not open backing image
        create|-F|create -f qcow2 -F raw @new 1M|Backing format cannot be used without backing file
        create|-u|create -q -f qcow2 -u -b @missing -F raw @new 1M|
        create|--object|create --object foo -f qcow2 @new 1M|Parameter 'qom-type'
        dd|-f|dd -f qcow2 if=@in of=@new|Could not open
        dd|--image-opts|dd --image-opts if=driver=raw,file.filename=@in of=@new|
        dd|-O|dd -O foo -f raw if=@in of=@new|Unknown file format
        dd|-U|dd -U -f raw if=@in of=@new|
        dd|--object|dd --object foo -f raw if=@in of=@new|Parameter 'qom-type'
        info|-f|info -f qcow2 @in|Could not open
        info|--image-opts|info --image-opts driver=raw,file.filename=@in|
        info|-b|info -b @q|
        info|-U|info -U @q|
        info|--object|info --object foo @q|Parameter 'qom-type'
        info|--output|info --output foo @q|--output expects
        map|-f|map -f qcow2 @in|Could not open
        map|--image-opts|map --image-opts driver=raw,file.filename=@in|
        map|-s|map -s x @q|Invalid start offset
        map|-l|map -l x @q|Invalid max length
        map|--output|map --output foo @q|--output expects
        map|-U|map -U @q|
        map|--object|map --object foo @q|Parameter 'qom-type'
        measure|-O|measure -O foo @q|Unknown file format
        measure|-o|measure -O qcow2 -o no_such=1 @q|Invalid parameter 'no_such'
        measure|--size|measure --size x|image size
        measure|-f|measure -f qcow2 @in|Could not open
        measure|--image-opts|measure --image-opts driver=raw,file.filename=@in|
        measure|-l|measure -l snap @q|snapshot
        measure|--output|measure --output foo @q|--output expects
        measure|-U|measure -U @q|
        measure|--object|measure --object foo @q|Parameter 'qom-type'
        rebase|-q|rebase -q -b q -F qcow2 @over|
        rebase|-p|rebase -p -b q -F qcow2 @over|
        rebase|-f|rebase -f foo -b q -F qcow2 @over|Unknown driver 'foo'
        rebase|--image-opts|rebase --image-opts -b q -F qcow2 driver=qcow2,file.filename=@over|
        rebase|-t|rebase -t foo -b q -F qcow2 @over|Invalid cache option: foo
        rebase|-T|rebase -T foo -b q -F qcow2 @over|Invalid source cache option: foo
        rebase|-b|rebase -b missing -F qcow2 @over|Could not open new backing file
        rebase|-F|rebase -b q -F foo @over|Invalid format name: 'foo'
        rebase|-u|rebase -u -b missing -F qcow2 @over|
        rebase|-c|rebase -c -b in -F raw @over|
        rebase|-U|rebase -U -b q -F qcow2 @over|
        rebase|--object|rebase --object foo -b q -F qcow2 @over|Parameter 'qom-type'
        resize|-q|resize -q @q 3M|
        resize|-f|resize -f qcow2 @in 8M|Could not open
        resize|--image-opts|resize --image-opts driver=qcow2,file.filename=@q 3M|
        resize|--shrink|resize @q 1M|--shrink
        resize|--preallocation|resize --preallocation=foo @q 3M|Invalid preallocation mode
        resize|--object|resize --object foo @q 3M|Parameter 'qom-type'
        """;

    // an option of qemu-io or of one of its commands | a line that uses it | output that appears only with the option
    private const string IoTable =
        """
        -f|-f foo -c length @q|Unknown driver 'foo'
        -r|-r -c 'write 0 512' @q|Block node is read-only
        -s|-s -c 'write -P 1 0 512' @q|wrote 512/512
        -n|-n -k -f raw -c length @in|4 MiB
        -m|-m -f raw -c length @in|4 MiB
        -C|-C -r -c length @q|Can't use copy-on-read on read-only device
        -k|-k -f raw -c length @in|cache.direct=on
        -i|-i foo -c length @q|Invalid aio option: foo
        -i|-i native -c length @q|cache.direct=on
        -t|-t foo -c length @q|Invalid cache option: foo
        -d|-d foo -c length @q|Invalid discard option: foo
        -d|-d ignore -c 'write -P 1 0 64k' -c 'discard 0 64k' -c 'read -P 1 0 64k' @q|read 65536/65536
        -U|-U -c length @q|force-share=on
        --image-opts|--image-opts -c length driver=qcow2,file.filename=@q,no-such=1|does not support the option 'no-such'
        aio_read -i|-c 'aio_read -i 0 512' @q|injecting invalid read request
        aio_write -i|-c 'aio_write -i 0 512' @q|injecting invalid write request
        write -n|-c 'write -n 0 512' @q|-n requires -z
        write -u|-c 'write -u 0 512' @q|-u requires -z
        write -b|-f raw -c 'write -b 0 512' @in|Operation not supported
        write -c|-f raw -c 'write -c 0 64k' @in|Operation not supported
        truncate -m|-c 'truncate -m foo 1M' @q|Invalid preallocation mode
        open -C|-c 'open -C -r @q'|Can't use copy-on-read on read-only device
        open -d|-c 'open -d foo @q'|Invalid discard option: foo
        open -i|-c 'open -i foo @q'|Invalid aio option: foo
        open -k|-c 'open -k @q'|cache.direct=on
        open -o|-c 'open -o no-such=1 @q'|does not support the option 'no-such'
        reopen -c|-c 'reopen -c foo' @q|Invalid cache option: foo
        reopen -o|-c 'reopen -o no-such=1' -c length @q|Cannot change the option 'no-such'
        reopen -r|-c 'reopen -r' -c 'write 0 512' @q|read-only
        """;

    public static TheoryData<string, string, string> ImgOptions() => Rows(Table, 4, r => (r[0] + " " + r[1], r[2], r[3]));

    public static TheoryData<string, string, string> IoOptions() => Rows(IoTable, 3, r => (r[0], r[1], r[2]));

    [Theory]
    [MemberData(nameof(ImgOptions))]
    public async Task An_option_of_img_works_or_is_refused_by_name(string option, string line, string refusal)
    {
        using var peer = await InputsAsync();
        var run = await peer.OursAsync(line);
        Assert.True((run.Code == 0) == (refusal.Length == 0), $"{option}: {run.Code}, {run.Error}");
        Assert.Contains(refusal, run.Out + run.Error, StringComparison.Ordinal);
        if (refusal.Length != 0)
        {
            Assert.False(File.Exists(peer.Path("new")), "a refused command leaves no file");
        }
    }

    [Theory]
    [InlineData("amend")]
    [InlineData("bench")]
    [InlineData("check")]
    [InlineData("commit")]
    [InlineData("compare")]
    [InlineData("convert")]
    [InlineData("create")]
    [InlineData("dd")]
    [InlineData("info")]
    [InlineData("map")]
    [InlineData("measure")]
    [InlineData("rebase")]
    [InlineData("resize")]
    public async Task Every_option_in_the_peers_help_is_in_the_table_and_in_no_other_command(string command)
    {
        using var peer = await InputsAsync();
        string help = (await peer.TheirsAsync($"{command} --help")).Out;
        string[] theirs = [.. OptionLine().Matches(help)
            .Select(m => m.Groups["short"].Success ? m.Groups["short"].Value : m.Groups["long"].Value)];
        string[] known = [.. Table.Split('\n').Select(r => r.Split('|')).Where(r => r[0] == command).Select(r => r[1])];

        // the short form of --size appears only in the peer's help, not in its parser
        string[] missing = [.. theirs.Where(t => t is not ("-h" or "-s") || (t == "-s" && command != "measure")).Except(known)];
        Assert.True(missing.Where(m => m is not ("--start-offset" or "--max-length"))
            .ToArray() is [], $"not in the table: {string.Join(' ', missing)}");
        foreach (string stray in new[] { "--progress", "--image-opts", "--output=json", "--quiet", "--force-share" })
        {
            if (command == "convert" && stray == "--output=json")
            {
                // the peer parses it as another option
                continue;
            }

            // some long names appear in the peer's help but not in its parser
            bool listed = theirs.Contains(stray.Split('=')[0]) || help.Contains(stray.Split('=')[0] + "\n", StringComparison.Ordinal);
            var ours = await peer.OursAsync($"{command} {stray} @q 3M");
            var peers = await peer.TheirsAsync($"{command} {stray} @q 3M");
            Assert.True(listed || IsUnknown(peers) == IsUnknown(ours), $"{stray}: {ours.Error}");
        }
    }

    [Theory]
    [MemberData(nameof(IoOptions))]
    public async Task An_option_of_io_works_or_is_refused_by_name(string option, string line, string prints)
    {
        using var peer = await InputsAsync();
        var run = await IoAsync(peer, line);
        Assert.True((run.Out + run.Error).Contains(prints, StringComparison.Ordinal), $"{option}: {run.Code}, {run.Out}, {run.Error}");
    }

    [Fact]
    public async Task Every_command_of_the_peers_io_is_there_with_the_same_options()
    {
        using var peer = await InputsAsync();
        var theirs = await peer.IoAsync("q", "help");
        var ours = await IoAsync(peer, "-c help @q");
        Assert.Equal(Lines(theirs), Lines(ours));

        // only ours can print the offset of an append
        static IEnumerable<string> Lines(ToolRun run) => run.Out.Split('\n')
            .Where(l => l.Contains(" -- ", StringComparison.Ordinal) && !l.StartsWith("zone_append", StringComparison.Ordinal))
            .Select(l => l.Replace("  ", " ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Reopen_takes_new_options_and_a_refused_one_leaves_the_image_open()
    {
        using var peer = await InputsAsync();
        var run = await IoAsync(peer,
            "-c 'reopen -o lazy-refcounts=maybe' -c 'write -P 1 0 512' -c 'reopen -o lazy-refcounts=on' -c 'reopen -c none' -c length @q");
        Assert.Contains("expects 'on' or 'off'", run.Error, StringComparison.Ordinal);
        Assert.Contains("wrote 512/512", run.Out, StringComparison.Ordinal);
        Assert.Contains("2 MiB", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("l2-cache-size=1M,cache-size=512k")]
    [InlineData("cache-size=1M,l2-cache-size=512k,refcount-cache-size=512k")]
    [InlineData("overlap-check.foo=on")]
    [InlineData("cache-clean-interval=x")]
    [InlineData("file.aio=foo")]
    [InlineData("file.aio=native")]
    [InlineData("file.locking=foo")]
    [InlineData("locking=on")]
    [InlineData("discard=foo")]
    [InlineData("read-only=maybe")]
    [InlineData("detect-zeroes=foo")]
    [InlineData("no-such=1")]
    [InlineData("file.no-such=1")]
    [InlineData("read-only=on")]
    [InlineData("overlap-check.main-header=off")]
    [InlineData("cache-size=2M,l2-cache-size=1M")]
    [InlineData("node-name=disk,discard=unmap,file.locking=auto,file.aio=threads,cache.direct=on")]
    [InlineData("cache.direct=on,cache.no-flush=on,file.aio=native")]
    [InlineData("cache.direct=on,file.cache.direct=off,file.aio=native")]
    [InlineData("cache.no-flush=on,file.cache.direct=on,file.aio=native")]
    [InlineData("discard=ignore")]
    [InlineData("detect-zeroes=on")]
    [InlineData("detect-zeroes=unmap,discard=ignore")]
    [InlineData("cache-clean-interval=600")]
    [InlineData("cache-clean-interval=-1")]
    [InlineData("l2-cache-entry-size=512")]
    [InlineData("l2-cache-entry-size=33k")]
    [InlineData("refcount-cache-size=256T")]
    [InlineData("pass-discard-request=off,pass-discard-snapshot=off,pass-discard-other=on")]
    [InlineData("discard-no-unref=on")]
    [InlineData("overlap-check=none,overlap-check.template=all")]
    [InlineData("file.locking=off")]
    [InlineData("file.pr-manager=foo")]
    [InlineData("file.aio-max-batch=3,file.drop-cache=off")]
    [InlineData("auto-read-only=on")]
    [InlineData("file.read-only=on")]
    [InlineData("node-name=#q")]
    public async Task Runtime_options_do_what_the_peers_do_or_are_refused_in_its_words(string options)
    {
        using var peer = await InputsAsync();
        string[] words = ["--image-opts", "-c", "length", $"driver=qcow2,file.filename={peer.Path("q")},{options}"];
        await ImgPeer.SameIoWordsAsync(words);
    }

    [Theory]
    [InlineData("none", "cache.direct=off")]
    [InlineData("none", "file.cache.direct=off")]
    [InlineData("none", "cache.no-flush=on")]
    [InlineData("writeback", "cache.direct=on")]
    [InlineData("unsafe", "cache.direct=on")]
    public async Task Cache_options_of_a_node_replace_those_of_the_mode(string mode, string option)
    {
        using var peer = await InputsAsync();
        string[] words = ["-t", mode, "--image-opts", "-c", "length",
            $"driver=qcow2,file.filename={peer.Path("q")},{option},file.aio=native"];
        await ImgPeer.SameIoWordsAsync(words);
    }

    [Theory]
    [InlineData("--selinux-label=x", "SELinux")]
    [InlineData("-T foo,bar=1", "Invalid parameter 'bar'")]
    [InlineData("-B bitmap", "Bitmap 'bitmap' is not found")]
    [InlineData("-v -c /dev/no-nbd0", "Failed to open /dev/no-nbd0: No such file or directory")]
    [InlineData("--tls-authz=x", "--tls-authz is not permitted without --tls-creds")]
    [InlineData("--aio=foo", "Invalid aio mode 'foo'")]
    [InlineData("--discard=foo", "Invalid discard mode")]
    [InlineData("--detect-zeroes=foo", "detect_zeroes")]
    [InlineData("--cache=foo", "Invalid cache mode")]
    public async Task An_option_that_nbd_does_not_have_is_refused_by_name(string option, string refusal)
    {
        using var peer = await InputsAsync();
        var (output, error) = (new StringWriter(), new StringWriter());
        string[] words = [.. option.Split(' '), peer.Path("q")];
        int code = await NbdTool.RunAsync(
            words, new ToolContext { Program = "qemu-nbd", Out = output, Error = error }, [], TestContext.Current.CancellationToken);
        Assert.Equal(1, code);
        Assert.Contains(refusal, error.ToString(), StringComparison.Ordinal);
    }

    private static bool IsUnknown(ToolRun run)
        => run.Error.Contains("unrecognized option", StringComparison.Ordinal);

    private static TheoryData<string, string, string> Rows(string table, int columns, Func<string[], (string, string, string)> row)
    {
        var data = new TheoryData<string, string, string>();
        foreach (string line in table.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] cells = line.Split('|');
            Assert.Equal(columns, cells.Length);
            data.Add(row(cells).Item1, row(cells).Item2, row(cells).Item3);
        }

        return data;
    }

    private static async Task<ToolRun> IoAsync(ImgPeer peer, string line)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        string[] words = [.. Word().Matches(line)
            .Select(m => m.Value.Trim('\'').Replace("@", peer.Path("") + "/", StringComparison.Ordinal))];
        int code = await IoTool.RunAsync(words, new ToolContext { Program = "qemu-io", Out = output, Error = error });
        return new ToolRun(code, output.ToString(), error.ToString());
    }

    private static async Task<ImgPeer> InputsAsync()
    {
        var peer = new ImgPeer();
        byte[] bytes = new byte[4 << 20];
        Array.Fill(bytes, (byte)1, 0, 70000);
        await File.WriteAllBytesAsync(peer.Path("in"), bytes, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(peer.Path("small"), bytes[..(1 << 20)], TestContext.Current.CancellationToken);
        await peer.OursAsync("create -q -f qcow2 @q 2M");
        await peer.OursAsync("create -q -f qcow2 -b q -F qcow2 @over");
        return peer;
    }

    [GeneratedRegex(@"^  (?:(?<short>-\w)(?:, |  ))?(?<long>--[\w-]+)", RegexOptions.Multiline)]
    private static partial Regex OptionLine();

    [GeneratedRegex(@"'[^']*'|\S+")]
    private static partial Regex Word();
}
