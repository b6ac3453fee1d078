using Paddock.Posix;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// What one front end has agreed on and set up: its messages go in, replies come out, and rings run meanwhile. All calls come from one thread.
/// </summary>
internal sealed partial class FrontEndSession : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30;

    private const ProtocolFeatures OfferedProtocol = ProtocolFeatures.MultiQueue | ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndRequest
        | ProtocolFeatures.Config | ProtocolFeatures.InflightSharedMemory | ProtocolFeatures.ResetDevice | ProtocolFeatures.ConfigureMemorySlots
        | ProtocolFeatures.Status;

    private readonly VirtioBlkDevice _device;
    private readonly Action<string> _log;
    private readonly RingSlot[] _rings;
    private readonly List<MemorySlot> _slots = [];
    private readonly BackEndChannel _backEnd = new();
    private GuestMemory _memory = GuestMemory.Empty;
    private InflightMemory? _inflight;
    private ProtocolFeatures _protocol;
    private ulong _features;
    private byte _status;
    private bool _agreed;
    private readonly bool _mustBeSealed;
    private readonly LongWorkClient _longWork = LongWork.Shared.Open();

    /// <param name="device">The disk.</param>
    /// <param name="polling">How long an empty ring is looked at before its worker sleeps, at most.</param>
    /// <param name="log">Takes lines for people, on any thread.</param>
    /// <param name="mustBeSealed">Whether memory that the front end could cut short is refused.</param>
    public FrontEndSession(VirtioBlkDevice device, TimeSpan polling, Action<string> log, bool mustBeSealed = true)
    {
        _mustBeSealed = mustBeSealed;
        _device = device;
        _log = log;
        _rings = [.. Enumerable.Range(0, device.Options.Queues).Select(i => new RingSlot(i, device, polling, log, _longWork))];
    }

    /// <summary>Whether the front end has agreed on features: it is one, and may be silent from then on.</summary>
    public bool HasAgreed => Volatile.Read(ref _agreed);

    /// <summary>Requests that we make; may be used from any thread.</summary>
    public BackEndChannel BackEnd => _backEnd;

    /// <summary>Runs a request.</summary>
    /// <param name="request">What came; its descriptors are taken or closed.</param>
    /// <param name="reply">Filled where one is due.</param>
    /// <returns>Whether one is due.</returns>
    /// <exception cref="VhostUserException">The request breaks the protocol: the session is to be ended.</exception>
    /// <exception cref="IOException">It cannot be granted and cannot be answered: the session ends as well.</exception>
    public bool Handle(Message request, Message reply)
    {
        try
        {
            if (Answer(request, reply))
            {
                return true;
            }

            Run(request);
            return Acknowledge(request, reply, 0);
        }
        catch (IOException e) when (e is not VhostUserException && MayAcknowledge(request))
        {
            _log($"{request.Request} is refused: {e.Message}");
            return Acknowledge(request, reply, 1);
        }
        finally
        {
            request.Clear();
        }
    }

    /// <summary>Stops all rings after their requests in flight, closes every descriptor and unmaps the memory of the guest.</summary>
    public void Dispose()
    {
        // what takes long ends at the end of its piece, else the front end's memory would stay for as long
        _longWork.Dispose();
        foreach (var ring in _rings)
        {
            ring.Dispose();
        }

        _backEnd.Dispose();
        _inflight?.Dispose();
        foreach (var slot in _slots)
        {
            slot.Dispose();
        }
    }

    // the requests that have a reply of their own
    private bool Answer(Message request, Message reply)
    {
        switch (request.Request)
        {
            case FrontEndRequest.GetFeatures:
                return ReplyNumber(request, reply, _device.Features | ProtocolFeaturesBit);
            case FrontEndRequest.GetProtocolFeatures:
                return ReplyNumber(request, reply, (ulong)OfferedProtocol);
            case FrontEndRequest.GetQueueNum:
                return ReplyNumber(request, reply, (ulong)_rings.Length);
            case FrontEndRequest.GetMaxMemorySlots:
                return ReplyNumber(request, reply, VhostUserLimits.MemorySlots);
            case FrontEndRequest.GetStatus:
                return ReplyNumber(request, reply, _status);
            case FrontEndRequest.GetVringBase:
                GetVringBase(request, reply);
                return true;
            case FrontEndRequest.GetConfig:
                GetConfig(request, reply);
                return true;
            case FrontEndRequest.GetInflightDescriptor:
                GetInflight(request, reply);
                return true;
            default:
                return false;
        }
    }

    private void Run(Message request)
    {
        switch (request.Request)
        {
            case FrontEndRequest.SetFeatures:
                SetFeatures(NumberOf(request));
                Volatile.Write(ref _agreed, true);
                break;
            case FrontEndRequest.SetProtocolFeatures:
                SetProtocolFeatures((ProtocolFeatures)NumberOf(request));
                Volatile.Write(ref _agreed, true);
                break;
            case FrontEndRequest.SetOwner or FrontEndRequest.ResetOwner:
                // nothing hangs on it; a session is its connection
                Expect(request, 0, 0);
                break;
            case FrontEndRequest.SetStatus:
                SetStatus(NumberOf(request));
                break;
            case FrontEndRequest.ResetDevice:
                Expect(request, 0, 0);
                Reset();
                break;
            case FrontEndRequest.SetConfig:
                SetConfig(request);
                break;
            case FrontEndRequest.SetBackEndRequestDescriptor:
                Expect(request, 0, 1);
                _backEnd.Set(request.TakeDescriptor(0));
                break;
            case FrontEndRequest.SetMemoryTable:
                SetMemoryTable(request);
                break;
            case FrontEndRequest.AddMemoryRegion:
                AddMemoryRegion(request);
                break;
            case FrontEndRequest.RemoveMemoryRegion:
                RemoveMemoryRegion(request);
                break;
            case FrontEndRequest.SetInflightDescriptor:
                SetInflight(request);
                break;
            default:
                RunForRing(request);
                break;
        }
    }

    private bool MayAcknowledge(Message request) => request.Header.NeedsReply && (_protocol & ProtocolFeatures.ReplyAck) != 0;

    private bool Acknowledge(Message request, Message reply, ulong result)
    {
        if (!MayAcknowledge(request))
        {
            return false;
        }

        U64Payload.Write(BeginReply(request, reply, U64Payload.Size), result);
        return true;
    }

    private static bool ReplyNumber(Message request, Message reply, ulong value)
    {
        Expect(request, 0, 0);
        U64Payload.Write(BeginReply(request, reply, U64Payload.Size), value);
        return true;
    }

    private static Span<byte> BeginReply(Message request, Message reply, int length)
        => reply.Begin(request.Header.Request, HeaderFlags.Version | HeaderFlags.Reply, length);

    private static ulong NumberOf(Message request)
    {
        Expect(request, U64Payload.Size, 0);
        return U64Payload.Parse(request.Payload);
    }

    private static void Expect(Message request, int length, int descriptors)
    {
        VhostUserException.ExpectLength(request.Request.ToString(), length, request.Header.Length);
        ExpectDescriptors(request, descriptors);
    }

    private static void ExpectDescriptors(Message request, int wanted)
    {
        if (request.Descriptors.Count != wanted)
        {
            throw new VhostUserException(request.Request.ToString(), 0, $"{request.Descriptors.Count} descriptors came where {wanted} must");
        }
    }

    private void SetFeatures(ulong features)
    {
        if ((features & ~(_device.Features | ProtocolFeaturesBit)) != 0)
        {
            throw new RequestRefusedException($"features 0x{features & ~(_device.Features | ProtocolFeaturesBit):x} were not offered");
        }

        if (features == _features)
        {
            return;
        }

        PauseRings();
        _features = features;
        if ((features & ProtocolFeaturesBit) == 0)
        {
            // such a front end knows of no switch: what is started is served
            foreach (var ring in _rings)
            {
                ring.IsEnabled = true;
            }
        }

        StartRings();
    }

    private void SetProtocolFeatures(ProtocolFeatures features)
    {
        if ((features & ~OfferedProtocol) != 0)
        {
            throw new RequestRefusedException($"protocol features 0x{(ulong)(features & ~OfferedProtocol):x} were not offered");
        }

        _protocol = features;
    }

    private void SetStatus(ulong status)
    {
        if (status > byte.MaxValue)
        {
            throw new VhostUserException(nameof(FrontEndRequest.SetStatus), 0, $"a status of 0x{status:x}");
        }

        _status = (byte)status;
        if (status == 0)
        {
            Reset();
        }
    }

    // keep the memory: front ends that add regions one by one do not add them again
    private void Reset()
    {
        foreach (var ring in _rings)
        {
            ring.Stop();
            (ring.IsEnabled, ring.Base) = (false, 0);
        }

        _inflight?.Dispose();
        (_inflight, _features, _status) = (null, 0, 0);
    }

    private void GetConfig(Message request, Message reply)
    {
        ExpectDescriptors(request, 0);
        var access = ConfigAccess.Parse(request.Payload);
        var contents = BeginReply(request, reply, ConfigAccess.ContentsAt + access.Length);
        access.WriteTo(contents);
        _device.ReadConfig(access.Offset, contents[ConfigAccess.ContentsAt..]);
    }

    // no field can be written; what a guest writes to one that cannot has no effect (virtio 1.2, 4.1.4.6)
    private void SetConfig(Message request)
    {
        ExpectDescriptors(request, 0);
        _ = ConfigAccess.Parse(request.Payload);
        if (MayAcknowledge(request))
        {
            throw new RequestRefusedException("no field of the configuration space can be written");
        }
    }
}
