using System.Net.Sockets;
using Paddock.Nvme.Auth;
using Paddock.Nvme.Host;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>A client that violates the authentication protocol is rejected and does not affect other clients.</summary>
public class AuthHostileTests
{
    private const string Nqn = "nqn.2026-01.io.paddock:test";

    [Theory]
    [InlineData(DhChapGroup.Null)]
    [InlineData(DhChapGroup.Ffdhe2048)]
    public async Task Truncated_authentication_message_fails(DhChapGroup group)
    {
        byte[] offer = Host(group).Negotiate();
        for (int length = 0; length < offer.Length; length++)
        {
            var target = Target(group);
            Assert.Equal(NvmeStatus.Success, await target.SendAsync(offer.AsMemory(0, length)));
            await FailsAsync(target, AuthFailure.IncorrectPayload);
        }

        int step = group == DhChapGroup.Null ? 1 : 37;
        for (int length = 0; ; length += step)
        {
            var (target, host) = (Target(group), Host(group));
            byte[] reply = await ReplyAsync(target, host);
            if (length >= reply.Length)
            {
                break;
            }

            await target.SendAsync(reply.AsMemory(0, length));
            await FailsAsync(target, AuthFailure.IncorrectPayload);
        }

        for (int length = 0; length < ChapSuccess2.Size; length++)
        {
            var (target, host) = (Target(DhChapGroup.Null), Host(DhChapGroup.Null));
            await target.SendAsync(await ReplyAsync(target, host));
            await target.SendAsync(host.Confirm(await FetchAsync(target)).AsMemory(0, length));
            await FailsAsync(target, AuthFailure.IncorrectPayload);
        }
    }

    [Fact]
    public async Task Reply_with_any_byte_changed_fails()
    {
        // the specification requires reserved bytes to be ignored; sequence number and challenge are skipped if they only change the
        // reply of the controller
        for (int at = 0; at < 16 + 64; at++)
        {
            var (target, host) = (Target(DhChapGroup.Null), Host(DhChapGroup.Null));
            byte[] reply = await ReplyAsync(target, host);
            reply[at] ^= 0x55;
            await target.SendAsync(reply);
            bool ignored = at is 2 or 3 or 7 or 9;
            bool changesTheAnswer = at is >= 12 and < 16 or >= 16 + 32;
            byte[] message = await FetchAsync(target);
            Assert.True((AuthHeader.Read(message).Message == AuthMessage.Success1) == (ignored || changesTheAnswer), $"byte {at}");
            if (changesTheAnswer)
            {
                Assert.Equal(AuthFailure.AuthenticationFailed, Assert.Throws<AuthException>(() => host.Confirm(message)).Failure);
            }

            Assert.False(target.IsAuthenticated);
        }
    }

    [Fact]
    public async Task Random_broken_messages_never_authenticate()
    {
        const int seed = 20261124;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (int round = 0; round < 3000; round++)
        {
            var (target, host) = (Target(DhChapGroup.Null), Host(DhChapGroup.Null));
            byte[] offer = Broken(host.Negotiate(), random);
            await target.SendAsync(offer);
            byte[] answer = await FetchAsync(target);
            if (AuthHeader.Read(answer).Message == AuthMessage.Challenge)
            {
                byte[] reply = new byte[random.Next(200)];
                random.NextBytes(reply);
                new AuthHeader(AuthMessage.Reply, AuthHeader.Read(answer).Transaction).WriteTo(reply.Length < 6 ? new byte[6] : reply);
                await target.SendAsync(reply);
                await FetchAsync(target);
            }

            Assert.False(target.IsAuthenticated, $"seed {seed}, round {round}");
        }
    }

    [Fact]
    public async Task Host_rejects_broken_messages_of_the_controller()
    {
        const int seed = 4420;
        var random = new Random(seed);
        for (int round = 0; round < 3000; round++)
        {
            var (target, host) = (Target(DhChapGroup.Null), Host(DhChapGroup.Null));
            await target.SendAsync(host.Negotiate());
            byte[] challenge = await FetchAsync(target);
            if (random.Next(2) == 0)
            {
                await Record.ExceptionAsync(async () => await host.ReplyAsync(Broken(challenge, random)));
                continue;
            }

            await target.SendAsync(await host.ReplyAsync(challenge));
            byte[] success = await FetchAsync(target);
            success[16 + random.Next(32)] ^= (byte)(1 + random.Next(255));
            Assert.Throws<AuthException>(() => host.Confirm(success));
        }
    }

    [Fact]
    public async Task Message_out_of_order_fails()
    {
        var host = Host(DhChapGroup.Null);
        byte[] offer = host.Negotiate();
        byte[] reply = await ReplyAsync(Target(DhChapGroup.Null), host);
        byte[] success = new byte[ChapSuccess2.Size];
        ChapSuccess2.Write(success, AuthHeader.Read(offer).Transaction);
        foreach (byte[] first in new[] { reply, success, host.Refuse(AuthFailure.IncorrectMessage), [0x01, 0x01, 0, 0, 0, 0],
            [0xFF, 0, 0, 0, 0, 0, 0, 0] })
        {
            var target = Target(DhChapGroup.Null);
            await target.SendAsync(first);
            await FailsAsync(target, AuthFailure.IncorrectMessage);
        }

        var twice = Target(DhChapGroup.Null);
        await twice.SendAsync(offer);
        await twice.SendAsync(offer);
        await FailsAsync(twice, AuthFailure.IncorrectMessage);
        await FailsAsync(Target(DhChapGroup.Null), AuthFailure.IncorrectMessage);
    }

    [Fact]
    public async Task Replayed_reply_and_reply_of_another_transaction_fail()
    {
        var (first, host) = (Target(DhChapGroup.Null), Host(DhChapGroup.Null));
        byte[] offer = host.Negotiate(), recorded = await ReplyAsync(first, host);
        var target = Target(DhChapGroup.Null);
        await target.SendAsync(offer);
        await FetchAsync(target);
        await target.SendAsync(recorded);
        await FailsAsync(target, AuthFailure.AuthenticationFailed);
        recorded[4] ^= 1;
        await first.SendAsync(recorded);
        await FailsAsync(first, AuthFailure.IncorrectPayload);
    }

    [Fact]
    public async Task Public_value_that_reveals_the_secret_fails()
    {
        foreach (byte value in new byte[] { 0, 1 })
        {
            var (target, host) = (Target(DhChapGroup.Ffdhe2048), Host(DhChapGroup.Ffdhe2048));
            byte[] reply = await ReplyAsync(target, host);
            reply.AsSpan(16 + 64).Clear();
            reply[^1] = value;
            await target.SendAsync(reply);
            await FailsAsync(target, AuthFailure.GroupUnusable);
        }
    }

    [Fact]
    public async Task Only_authentication_commands_are_accepted_before_authentication()
    {
        await using var bench = await Secrets.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        Assert.Equal(1 << 17, raw.Connect(bench.Subsystem.Nqn) & ~0xFFFFL);
        foreach (var entry in new SubmissionEntry[]
        {
            new() { Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertyGet, Dword11 = Properties.Status },
            new() { Opcode = Opcode.Fabrics, NamespaceId = FabricsType.PropertySet, Dword11 = Properties.Configuration,
            Dword12 = 0x460061 },
            new() { Opcode = AdminOpcode.Identify, DataLength = 4096, DataKind = SubmissionEntry.InTransport, Dword10 = 1 },
            new() { Opcode = AdminOpcode.KeepAlive },
            new() { Opcode = AdminOpcode.AsyncEventRequest },
        })
        {
            Assert.Equal(NvmeStatus.AuthenticationRequired, raw.Run(entry).Status);
        }

        foreach (var entry in new[]
        {
            Command(FabricsType.AuthenticationReceive, 4096) with { Dword10 = 0 },
            Command(FabricsType.AuthenticationReceive, 4096) with { Dword11 = 4095 },
            Command(FabricsType.AuthenticationReceive, 0),
            Command(FabricsType.AuthenticationSend, 64 << 10),
        })
        {
            Assert.Equal(NvmeStatus.InvalidField, raw.Run(entry).Status);
        }

        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task Each_io_queue_authenticates_separately_and_an_admin_queue_may_reauthenticate()
    {
        await using var bench = await Secrets.StartAsync(DhChapHash.Sha512, DhChapGroup.Ffdhe2048);
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        await admin.AuthenticateAsync(Secrets.Both);
        admin.Enable();
        using var io = new RawHost(bench.Server.Address.Port);
        io.Initialize();
        io.Connect(bench.Subsystem.Nqn, 1, controller);
        var read = new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 1 };
        Assert.Equal(NvmeStatus.AuthenticationRequired, io.Run(read).Status);
        await io.AuthenticateAsync(Secrets.OneWay);
        Assert.Equal(NvmeStatus.Success, io.Run(read).Status);
        await admin.AuthenticateAsync(Secrets.OneWay);
        await admin.AuthenticateAsync(Secrets.Both);
        Assert.Equal(NvmeStatus.Success, admin.Run(new SubmissionEntry { Opcode = AdminOpcode.KeepAlive }).Status);
        Assert.Equal(NvmeStatus.Success, io.Run(read).Status);
    }

    [Fact]
    public async Task Authentication_failure_is_reported_before_the_connection_ends()
    {
        await using var bench = await Secrets.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn);
        Assert.Equal(NvmeStatus.Success, raw.SendMessage(new byte[3]).Status);
        byte[] failure = raw.ReceiveMessage();
        Assert.Equal(
            (AuthMessage.Failure1, AuthFailure.IncorrectPayload), (AuthHeader.Read(failure).Message, AuthFailureMessage.Read(failure)));
        Assert.Equal(0, raw.Socket.Receive(new byte[1]));
        await Secrets.WorksAsync(bench);
    }

    [Fact]
    public async Task Unfinished_authentication_times_out()
    {
        await using var bench = await Secrets.StartAsync(
            options: new NvmeTargetOptions { AuthenticationTimeout = TimeSpan.FromMilliseconds(300) });
        using var idle = new RawHost(bench.Server.Address.Port);
        idle.Initialize();
        idle.Connect(bench.Subsystem.Nqn);
        using var half = new RawHost(bench.Server.Address.Port);
        half.Initialize();
        half.Connect(bench.Subsystem.Nqn);
        half.SendMessage(Host(DhChapGroup.Null).Negotiate());
        foreach (var raw in new[] { idle, half })
        {
            Assert.True(Ends(raw.Socket));
        }
    }

    [Fact]
    public async Task Authentication_may_take_longer_than_the_keep_alive_timeout()
    {
        await using var bench = await Secrets.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn, keepAlive: 100);
        raw.SendMessage(Host(DhChapGroup.Null).Negotiate());
        raw.ReceiveMessage();
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        Assert.Equal(NvmeStatus.AuthenticationRequired, raw.Run(new SubmissionEntry { Opcode = AdminOpcode.KeepAlive }).Status);
    }

    private static bool Ends(Socket socket)
    {
        try
        {
            return socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    private static SubmissionEntry Command(byte type, uint length) => new()
    {
        Opcode = Opcode.Fabrics, NamespaceId = type, DataLength = length, DataKind = SubmissionEntry.InTransport,
        Dword10 = AuthHeader.CommandProtocol, Dword11 = length,
    };

    private static QueueAuthentication Target(DhChapGroup group)
    {
        var policy = new DhChapPolicy
        {
            Hosts = new Dictionary<string, DhChapKeys> { [Secrets.RawHostNqn] = Secrets.Both }, Hashes = [DhChapHash.Sha256],
                Groups = [group],
        };
        return new QueueAuthentication(Secrets.RawHostNqn, Nqn, () => policy, CancellationToken.None);
    }

    private static HostAuthentication Host(DhChapGroup group) => new(
        new NvmeTcpHostOptions { Host = "", SubsystemNqn = Nqn, HostNqn = Secrets.RawHostNqn, Hashes = [DhChapHash.Sha256],
        Groups = [group] }, Secrets.Both);

    private static async Task<byte[]> ReplyAsync(QueueAuthentication target, HostAuthentication host)
    {
        await target.SendAsync(host.Negotiate());
        return await host.ReplyAsync(await FetchAsync(target));
    }

    private static async Task<byte[]> FetchAsync(QueueAuthentication target)
    {
        byte[] room = new byte[4096];
        Assert.Equal(NvmeStatus.Success, await target.ReceiveAsync(room));
        return room;
    }

    private static async Task FailsAsync(QueueAuthentication target, AuthFailure failure)
    {
        byte[] message = await FetchAsync(target);
        Assert.Equal((AuthMessage.Failure1, failure), (AuthHeader.Read(message).Message, AuthFailureMessage.Read(message)));
        Assert.False(target.IsAuthenticated);
        Assert.NotNull(target.Ended);
        Assert.Equal(NvmeStatus.CommandSequence, await target.SendAsync(Host(DhChapGroup.Null).Negotiate()));
        Assert.Equal(NvmeStatus.CommandSequence, await target.ReceiveAsync(new byte[4096]));
    }

    private static byte[] Broken(byte[] message, Random random)
    {
        byte[] copy = [.. message];
        for (int i = random.Next(4); i >= 0; i--)
        {
            copy[random.Next(Math.Min(copy.Length, 96))] = (byte)random.Next(256);
        }

        return random.Next(4) == 0 ? copy[..random.Next(copy.Length)] : copy;
    }
}
