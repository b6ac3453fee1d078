using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>
/// Random sequences of a driver against a model of its queues: every command completes once, with the status and data that the model
/// predicts; completions never exceed the room in their queue, and the reported head never passes the tail.
/// </summary>
public class ModelTests
{
    private const int Runs = 20, Steps = 150;

    [Fact]
    public async Task Random_sequences_follow_the_model()
    {
        int seed = TestSeed.Next();
        for (int i = 0; i < Runs; i++)
        {
            var random = new Random(seed + i);
            var options = new PcieOptions
            {
                IoQueues = 4, Vectors = 5, Polling = random.Next(2) == 0 ? TimeSpan.Zero : TimeSpan.FromMicroseconds(100),
            };
            await using var bench = await PcieBench.StartAsync(options, memory: 16 << 20);
            bench.Interrupts.IsMessageSignalled = random.Next(4) != 0;
            new Model(bench, random).Run(Steps);
        }
    }

    private sealed class Model(PcieBench bench, Random random)
    {
        private const uint Plain = 2;
        private const int Blocks = 64;

        private readonly PcieHost _host = bench.Host;
        private readonly Dictionary<ushort, Queue> _queues = [];
        private readonly byte[] _disk = new byte[Blocks * PcieBench.BlockSize];
        private readonly HashSet<int> _busyBlocks = [];

        public void Run(int steps)
        {
            for (int i = 0; i < steps; i++)
            {
                Step();
            }

            foreach (var queue in _queues.Values)
            {
                Drain(queue);
            }

            Assert.Null(_host.Controller.Fault);
            Assert.Equal(Properties.Ready, _host.Status);

            // an idle worker returns the buffers that it keeps
            Assert.True(SpinWait.SpinUntil(() => bench.Target.BytesInMemory == 0, TimeSpan.FromSeconds(60)));
        }

        private void Step()
        {
            switch (random.Next(12))
            {
                case 0 when _queues.Count < 4:
                    Create();
                    break;
                case 1 when _queues.Count > 0:
                    Delete(Pick());
                    break;
                case 2 when _host.Shadow == 0 && random.Next(3) == 0:
                    _host.UseShadowDoorbells();
                    break;
                case 3 when random.Next(4) == 0:
                    Reset();
                    break;
                case < 9 when _queues.Count > 0:
                    Submit(Pick());
                    break;
                case var _ when _queues.Count > 0:
                    Take(Pick(), random.Next(1, 6));
                    break;
            }
        }

        private Queue Pick() => _queues.Values.ElementAt(random.Next(_queues.Count));

        private void Create()
        {
            ushort id = (ushort)Enumerable.Range(1, 4).First(i => !_queues.ContainsKey((ushort)i));
            int entries = random.Next(2, 12), completions = random.Next(2, 12);
            ulong submission = _host.Memory.Allocate(4096), completion = _host.Memory.Allocate(4096);
            PcieHost.Expect(NvmeStatus.Success, _host.Run(PcieHost.CreateCompletion(id, completion, completions, id)));
            PcieHost.Expect(NvmeStatus.Success, _host.Run(PcieHost.CreateSubmission(id, submission, entries, id)));
            _queues.Add(id, new Queue(
                new HostQueuePair(id, submission, completion, entries), new HostQueuePair(id, submission, completion, completions)));
        }

        private void Delete(Queue queue)
        {
            Drain(queue);
            PcieHost.Expect(NvmeStatus.Success, _host.Run(new SubmissionEntry
            {
                Opcode = AdminOpcode.DeleteIoSubmissionQueue, Dword10 = queue.Commands.Id,
            }));
            PcieHost.Expect(NvmeStatus.Success, _host.Run(new SubmissionEntry
            {
                Opcode = AdminOpcode.DeleteIoCompletionQueue, Dword10 = queue.Commands.Id,
            }));
            _queues.Remove(queue.Commands.Id);
        }

        // writes in flight may or may not have happened: they are awaited before, so that the model knows the disk
        private void Reset()
        {
            foreach (var queue in _queues.Values)
            {
                Drain(queue);
            }

            if (random.Next(2) == 0)
            {
                bench.Controller.Reset();
            }
            else
            {
                _host.Disable();
            }

            _queues.Clear();
            _host.Enable(entries: random.Next(2, 20));
        }

        private void Submit(Queue queue)
        {
            int room = queue.Commands.Entries - 1 - Distance(queue.SubmissionHead, queue.Commands.Tail, queue.Commands.Entries);
            int count = Math.Min(room, random.Next(1, 8));
            for (int i = 0; i < count; i++)
            {
                var (entry, expected) = Make();
                ushort id = _host.Submit(queue.Commands, entry, rings: random.Next(3) == 0);
                queue.InFlight.Add(id, expected);
            }

            _host.Ring(queue.Commands);
        }

        private (SubmissionEntry Entry, Expected Expected) Make()
        {
            int block = random.Next(Blocks - 8), count = random.Next(1, 8), length = count * PcieBench.BlockSize;
            var range = Enumerable.Range(block, count);
            var entry = new SubmissionEntry { NamespaceId = Plain, Opcode = Opcode.Flush };
            switch (random.Next(6))
            {
                case 0:
                    return (entry, new Expected(NvmeStatus.Success));
                case 1:
                    return (new SubmissionEntry { NamespaceId = 9 }, new Expected(NvmeStatus.InvalidNamespace));
                case 2:
                    var far = new SubmissionEntry
                    {
                        NamespaceId = Plain, Opcode = Opcode.Read, DataAddress = _host.Memory.Allocate(4096), Dword10 = 1 << 20,
                    };
                    return (far, new Expected(NvmeStatus.LbaOutOfRange));
                case 3 when !range.Any(_busyBlocks.Contains):
                    return MakeTransfer(Opcode.Write, block, count, length);
                case var _ when !range.Any(_busyBlocks.Contains):
                    return MakeTransfer(Opcode.Read, block, count, length);
                default:
                    return (new SubmissionEntry { NamespaceId = Plain, Opcode = 0x70 }, new Expected(NvmeStatus.InvalidOpcode));
            }
        }

        private (SubmissionEntry Entry, Expected Expected) MakeTransfer(byte opcode, int block, int count, int length)
        {
            var pages = new PageList(_host.Memory, length, random.Next(1024) * 4);
            var data = _disk.AsSpan(block * PcieBench.BlockSize, length);
            if (opcode == Opcode.Write)
            {
                random.NextBytes(data);
                pages.Write(data);
            }

            _busyBlocks.UnionWith(Enumerable.Range(block, count));
            var entry = pages.Describe(new SubmissionEntry
            {
                Opcode = opcode, NamespaceId = Plain, Dword10 = (uint)block, Dword12 = (uint)(count - 1),
            });
            return (entry, new Expected(NvmeStatus.Success, opcode == Opcode.Read ? pages : null, block, count));
        }

        private void Drain(Queue queue)
        {
            while (queue.InFlight.Count > 0)
            {
                PcieHost.WaitUntil(() => Take(queue, 16) > 0);
            }
        }

        private int Take(Queue queue, int most)
        {
            int taken = 0;
            while (taken < most && taken < queue.Results.Entries - 1 && _host.Take(queue.Results, rings: false) is { } entry)
            {
                taken++;
                Check(queue, entry);
            }

            if (taken > 0)
            {
                _host.RingHead(queue.Results);
            }

            return taken;
        }

        private void Check(Queue queue, CompletionEntry entry)
        {
            Assert.True(queue.InFlight.Remove(entry.CommandId, out var expected), $"command {entry.CommandId} completed twice");
            Assert.Equal((expected!.Status, queue.Commands.Id), (entry.Status, entry.QueueId));
            int moved = Distance(queue.SubmissionHead, entry.QueueHead, queue.Commands.Entries);
            Assert.InRange(moved, 0, Distance(queue.SubmissionHead, queue.Commands.Tail, queue.Commands.Entries));
            queue.SubmissionHead = entry.QueueHead;
            _busyBlocks.ExceptWith(Enumerable.Range(expected.Block, expected.Count));
            if (expected.Pages is { } pages)
            {
                Assert.Equal(
                    _disk.AsSpan(expected.Block * PcieBench.BlockSize, expected.Count * PcieBench.BlockSize).ToArray(), pages.Read());
            }

            if (bench.Interrupts.IsMessageSignalled)
            {
                PcieHost.WaitUntil(() => bench.Interrupts.Of(queue.Commands.Id) > 0);
            }
        }

        private static int Distance(int from, int to, int entries) => to >= from ? to - from : to - from + entries;

        private sealed record Expected(NvmeStatus Status, PageList? Pages = null, int Block = 0, int Count = 0);

        /// <summary>A queue pair whose queues have different sizes.</summary>
        private sealed class Queue(HostQueuePair commands, HostQueuePair results)
        {
            public HostQueuePair Commands => commands;

            public HostQueuePair Results => results;

            public Dictionary<ushort, Expected> InFlight { get; } = [];

            public int SubmissionHead { get; set; }
        }
    }
}
