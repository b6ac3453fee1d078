using System.Text;

namespace Paddock.Rbd.Tests;

/// <summary>What is parsed of the cluster's replies, and of the object beside an image.</summary>
public class OwnerFormatTests
{
    private static readonly byte[] Reply =
    [
        1, 0, 0, 0, 0x73, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2,
        1, 0, 0, 0, 0x74, 0x10, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
    ];

    private static readonly byte[] Lock =
    [
        1, 1, 60, 0, 0, 0, 1, 0, 0, 0, 1, 1, 30, 0, 0, 0, 8, 0x73, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, .. "auto 4242"u8, 1, 1,
    ];

    [Fact]
    public void Record_is_written_and_parsed()
    {
        Assert.Equal(new OwnerRecord(4211, 17), OwnerRecord.Parse([.. OwnerRecord.Field(4211), .. OwnerRecord.Field(17)]));
        Assert.Equal(new OwnerRecord(4211, 0), OwnerRecord.Parse(OwnerRecord.Field(4211)));
        Assert.Equal(default, OwnerRecord.Parse(new byte[OwnerRecord.Size]));
        Assert.Equal(default, OwnerRecord.Parse([]));
        Assert.Equal(default, OwnerRecord.Parse(Encoding.ASCII.GetBytes("client.-5 client.99999999999999999999999999999999999")));
    }

    [Fact]
    public void Reply_to_a_notification_names_those_who_answered_and_those_who_did_not()
    {
        var reply = NotifyReply.TryParse(Reply)!;
        Assert.Equal([0x1073], reply.Answered);
        Assert.Equal([0x1074], reply.Silent);
    }

    [Fact]
    public void Holder_of_a_lock_is_found_with_its_watch()
    {
        Assert.True(HeaderLock.TryParse(Lock, out var holder));
        Assert.Equal(new LockHolder(0x1073, 4242), holder);
        Assert.True(HeaderLock.TryParse([1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0], out holder));
        Assert.Equal(default, holder);
    }

    [Fact]
    public void Replies_that_end_early_or_have_wrong_lengths_are_rejected()
    {
        Assert.All(Enumerable.Range(0, Reply.Length), static n => Assert.Null(NotifyReply.TryParse(Reply.AsSpan(0, n))));
        Assert.All(Enumerable.Range(0, Lock.Length - 2), static n => Assert.False(HeaderLock.TryParse(Lock.AsSpan(0, n), out _)));
        byte[] many = [.. Reply];
        many[3] = many[0] = 0xFF;
        Assert.Null(NotifyReply.TryParse(many));
        byte[] tooLong = [.. Lock];
        tooLong[28] = 0xFF;
        Assert.False(HeaderLock.TryParse(tooLong, out _));
    }
}
