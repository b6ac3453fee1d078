namespace Paddock.Rbd.Tests;

/// <summary>When an owner counts as dead, and when its lease is over.</summary>
public class SuccessionTests
{
    private const double Quick = 0.001, Timeout = 1;

    private static readonly (double, double, bool) Answered = (Quick, Quick, true), Silent = (Quick, Timeout, false);

    [Fact]
    public async Task Silent_owner_is_fenced_after_two_questions_also_by_a_new_waiter()
    {
        var (owner, succession) = Start(Silent, Silent);
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
        Assert.Equal(0, owner.LockedBy);
        Assert.Equal(default, owner.Record);
    }

    [Fact]
    public async Task Lease_of_an_owner_that_has_answered_is_over_when_the_image_is_free()
    {
        var (owner, succession) = Start(Answered, Silent, Silent);
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        double doubted = owner.Now;
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
        Assert.True(owner.Now >= doubted + RbdLease.TermOfOthers.TotalSeconds, $"free {owner.Now - doubted:0.000} s after the doubt");
    }

    [Fact]
    public async Task Late_answer_of_the_owner_is_no_disturbance_of_the_cluster()
    {
        var (_, succession) = Start((Quick, 0.9, true), Silent, Silent);
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
    }

    [Fact]
    public async Task Slow_cluster_proves_nothing_and_delays_the_judgement()
    {
        var (owner, succession) = Start((Quick, 2.5, false), Silent, Silent, Silent, Silent);
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(FakeOwner.Owner, owner.LockedBy);
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
    }

    [Fact]
    public async Task Slow_question_counts_neither_for_nor_against_the_owner()
    {
        var (_, succession) = Start(Answered, Silent, (0.7, Timeout, false), Silent);
        Assert.Equal(SuccessionState.Owned, await succession.LookAsync());
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
    }

    [Fact]
    public async Task Owner_that_removes_the_doubt_is_not_fenced_although_it_answers_nothing()
    {
        var (owner, succession) = Start(Silent, Silent, Silent, Silent, Silent);
        owner.RemovesDoubts = true;
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        }

        owner.RemovesDoubts = false;
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(FakeOwner.Owner, owner.LockedBy);
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
    }

    [Fact]
    public async Task Owner_killed_after_it_has_emptied_its_record_has_no_lease_to_wait_for()
    {
        var (owner, succession) = Start(Silent, Silent);
        owner.Record = default;
        Assert.Equal(SuccessionState.Suspected, await succession.LookAsync());
        Assert.Equal(SuccessionState.Free, await succession.LookAsync());
        Assert.Equal(2 * Timeout, owner.Now, 3);
    }

    [Fact]
    public async Task Lease_of_a_lock_that_was_broken_by_hand_ends_after_the_blocklist_only()
    {
        var cluster = new FakeOwner { Record = default, LockedBy = FakeOwner.Self };
        var loss = new OwnershipLoss("image");
        var blocklisted = new TaskCompletionSource();
        var lease = new RbdLease(cluster, cluster, new RbdOwner(FakeOwner.Self, "127.0.0.1:0/1", 7), loss, cluster, _ => blocklisted.Task);
        await lease.BeginAsync(isTakenOver: false);
        (cluster.LockedBy, cluster.Record) = (FakeOwner.Owner, new OwnerRecord(FakeOwner.Owner, 0));
        cluster.Questions.Enqueue((0, 2, true));
        await cluster.NotifyAsync(0);
        await Assert.ThrowsAsync<Block.BlockException>(() => lease.ConfirmAsync().AsTask());
        var ended = lease.DisposeAsync().AsTask();
        Assert.False(ended.IsCompleted);
        blocklisted.SetResult();
        await ended;
        Assert.Equal(FakeOwner.Owner, cluster.Record.Owner);
    }

    private static (FakeOwner Owner, RbdSuccession Succession) Start(params (double, double, bool)[] questions)
    {
        var owner = new FakeOwner();
        Array.ForEach(questions, owner.Questions.Enqueue);
        return (owner, new RbdSuccession(owner, owner, owner));
    }
}
