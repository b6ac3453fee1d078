using System.Text;
using Paddock.Compat.Io;

namespace Paddock.Compat.Tests;

/// <summary>Handling of standard output and standard error.</summary>
public sealed class OutputTests
{
    [Fact]
    public async Task Unwritable_output_does_not_interrupt_a_command_and_is_reported_once()
    {
        var error = new MemoryStream();
        var context = ToolContext.Over("qemu-img", new MemoryStream(), new FullStream(), error);
        bool finished = false;
        int code = await Compat.ToolRun.GuardAsync(context, async given =>
        {
            given.Line("one");
            await given.Out.FlushAsync();
            given.Line("two");
            await given.Out.FlushAsync();
            finished = true;
            return 0;
        });
        Assert.Equal((1, true), (code, finished));
        Assert.Equal("qemu-img: cannot write to standard output: No space left on device\n", Encoding.UTF8.GetString(error.ToArray()));
    }

    [Fact]
    public async Task Unwritable_standard_error_harms_nothing()
    {
        var output = new MemoryStream();
        var context = ToolContext.Over("qemu-img", new MemoryStream(), output, new FullStream());
        int code = await Compat.ToolRun.GuardAsync(context, given =>
        {
            given.Warn("nobody reads this");
            given.Line("done");
            return Task.FromResult(0);
        });
        Assert.Equal((0, "done\n"), (code, Encoding.UTF8.GetString(output.ToArray())));
    }

    [Fact]
    public async Task Unexpected_failure_is_one_line_without_a_stack_trace()
    {
        var error = new MemoryStream();
        var context = ToolContext.Over("qemu-img", new MemoryStream(), new MemoryStream(), error);
        int code = await Compat.ToolRun.GuardAsync(context, static _ => throw new InvalidOperationException("first\nsecond"));
        string text = Encoding.UTF8.GetString(error.ToArray());
        Assert.Equal(1, code);
        Assert.StartsWith("qemu-img: internal error: first second; ", text, StringComparison.Ordinal);
        Assert.Equal(1, text.Count(static c => c == '\n'));
    }

    [Fact]
    public void Messages_cannot_move_the_cursor()
    {
        var error = new StringWriter();
        new ToolContext { Program = "qemu-img", Out = TextWriter.Null, Error = error }.Report("a\u001b[2Jb\rc");
        Assert.Equal("qemu-img: a\\x1b[2Jb\\rc\n", error.ToString());
    }

    [Fact]
    public async Task Lines_of_several_threads_never_mix()
    {
        var writer = new WatchedWriter();
        var session = new IoSession(new ToolContext { Program = "qemu-io", Out = writer, Error = writer });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(
            () =>
            {
                for (int n = 0; n < 200; n++)
                {
                    if (n % 2 == 0)
                    {
                        session.Print($"{i} {n}\n");
                    }
                    else
                    {
                        session.Complain($"{i} {n}");
                    }
                }
            },
            TestContext.Current.CancellationToken)));
        Assert.False(writer.Mixed, "two threads wrote at once");
        Assert.Equal(1600, writer.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Distinct().Count());
    }

    [Fact]
    public async Task Dump_and_report_of_a_request_are_printed_together()
    {
        var writer = new WatchedWriter();
        var context = new ToolContext { Program = "qemu-io", Out = writer, Error = writer };
        int code = await IoTool.RunAsync(["-f", "raw", "-c", "aio_read -v -P 1 0 32", "-c", "aio_flush", "null-co://"], context);
        Assert.Equal(0, code);
        string print = Assert.Single(writer.Writes, static w => w.Contains("00000000:", StringComparison.Ordinal));
        Assert.StartsWith("Pattern verification failed", print, StringComparison.Ordinal);
        Assert.Contains("read 32/32 bytes at offset 0\n", print, StringComparison.Ordinal);
    }

    private sealed class FullStream : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("No space left on device");

        public override void Write(byte[] buffer, int offset, int count) => throw new IOException("No space left on device");
    }

    /// <summary>Detects concurrent writes by two threads.</summary>
    private sealed class WatchedWriter : StringWriter
    {
        private readonly List<string> _writes = [];
        private int _inside;

        public volatile bool Mixed;

        public string Text => string.Concat(_writes);

        public IReadOnlyList<string> Writes => _writes;

        public override void Write(string? value)
        {
            Mixed |= Interlocked.Increment(ref _inside) != 1;
            Thread.Yield();
            lock (_writes)
            {
                _writes.Add(value!);
            }

            Interlocked.Decrement(ref _inside);
        }
    }
}
