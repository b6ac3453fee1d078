using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Faults.Tests;

public class FaultConfigTests
{
    [Fact]
    public void Configuration_of_the_QEMU_tests_is_parsed()
    {
        var rules = Parse(
            """
            # the second write fails
            [set-state]
            event = "pwritev"
            state = "1"
            new_state = "2"

            [inject-error "first"]
            event = "l2_load"
            errno = "28"
            immediately = "off"
            once ="on"
            sector = "0x10"
            iotype = "write-zeroes"
            """);
        Assert.Equal(
            [
                new InjectErrorRule
                {
                    Event = "l2_load", Errno = 28, Error = BlockError.NoSpace, Once = true, Sector = 16, Io = FaultIo.WriteZeroes,
                },
                new SetStateRule { Event = "pwritev", State = 1, NewState = 2 },
            ],
            rules);
    }

    [Fact]
    public void Rule_with_only_an_event_fails_all_but_block_status_with_EIO()
        => Assert.Equal(
            [new InjectErrorRule { Event = "l1_update", Errno = 5, Error = BlockError.Io, Io = FaultIo.Default }],
            Parse("[inject-error]\nevent = \"l1_update\"\n"));

    [Theory]
    [InlineData("[inject-error]\nerrno = \"5\"", "Missing event name for rule")]
    [InlineData("[set-state]\nstate = \"1\"", "Missing event name for rule")]
    [InlineData("[inject-error]\nevent = \"bad\"", "invalid parameter value: bad")]
    [InlineData("[inject-error]\nevent = none", "invalid parameter value: ")]
    [InlineData("[inject-error]\nevent = \"none\"\niotype = \"bad\"", "invalid parameter value: bad")]
    [InlineData("[inject-error]\nevent = \"none\"\nerrno = \"x\"", "Parameter 'errno' expects a number")]
    [InlineData("[inject-error]\nevent = \"none\"\nerrno = \"\"", "Parameter 'errno' expects a number")]
    [InlineData("[inject-error]\nevent = \"none\"\nsector = \"1k\"", "Parameter 'sector' expects a number")]
    [InlineData("[inject-error]\nevent = \"none\"\nonce = \"x\"", "Parameter 'once' expects 'on' or 'off'")]
    [InlineData("[inject-error]\nevent = \"none\"\nfoo = \"x\"", "Invalid parameter 'foo'")]
    [InlineData("[inject-error]\nevent = \"none\"\nerrno=\"5\"", "Invalid parameter 'errno=\"5\"'")]
    [InlineData("[inject-error]\nevent = \"none\"\n # c", "Invalid parameter '#'")]
    [InlineData("[inject-errors]\nevent = \"none\"", "There is no option group 'inject-errors'")]
    [InlineData("event = \"none\"", "no group defined")]
    [InlineData("[set-state \"a\"]\nevent = \"none\"\n[set-state \"a\"]", "Duplicate ID 'a' for set-state")]
    public void Invalid_configuration_is_rejected_with_the_text_of_QEMU(string text, string message)
    {
        var refusal = Assert.Throws<BlockException>(() => Parse(text));
        Assert.Equal((message, BlockError.InvalidArgument), (refusal.Message, refusal.Error));
    }

    private static IReadOnlyList<FaultRule> Parse(string text) => FaultConfig.Parse(text, Errno.ToBlockError);
}
