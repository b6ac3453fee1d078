using Microsoft.Win32.SafeHandles;
using Paddock.Serving;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// State of one front end: processes its messages, produces replies, and runs its rings. All calls come from one
/// thread.
/// </summary>
internal sealed class FrontEndSession : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30;

    private const ProtocolFeatures OfferedProtocol = ProtocolFeatures.MultiQueue | ProtocolFeatures.ReplyAck
        | ProtocolFeatures.BackEndRequest
        | ProtocolFeatures.Config | ProtocolFeatures.InflightSharedMemory | ProtocolFeatures.ResetDevice
            | ProtocolFeatures.ConfigureMemorySlots
        | ProtocolFeatures.Status;

    private readonly VirtioBlkDevice _device;
    private readonly Action<string> _log;
    private readonly bool _mustBeSealed;
    private readonly RingSet _rings;
    private readonly RingRequests _ringRequests;
    private readonly MemoryRequests _memory;
    private readonly BackEndChannel _backEnd = new();
    private readonly LongWorkClient _longWork = LongWork.Shared.Open();
    private ProtocolFeatures _protocol;
    private byte _status;
    private bool _agreed;

    /// <param name="device">The disk.</param>
    /// <param name="polling">Maximum time that a worker polls an empty ring before it sleeps.</param>
    /// <param name="log">Receives log lines, on any thread.</param>
    /// <param name="mustBeSealed">Whether to reject memory that the front end could truncate.</param>
    public FrontEndSession(VirtioBlkDevice device, TimeSpan polling, Action<string> log, bool mustBeSealed = true)
    {
        _mustBeSealed = mustBeSealed;
        _device = device;
        _log = log;
        _rings = new RingSet(device, polling, log, _longWork);
        _ringRequests = new RingRequests(_rings);
        _memory = new MemoryRequests(_rings, mustBeSealed, log);
    }

    /// <summary>Whether the front end has negotiated features; it may be idle after that.</summary>
    public bool HasAgreed => Volatile.Read(ref _agreed);

    /// <summary>Back-end requests; may be used from any thread.</summary>
    public BackEndChannel BackEnd => _backEnd;

    /// <summary>Runs a request.</summary>
    /// <param name="request">The request; its descriptors are taken or closed.</param>
    /// <param name="reply">Filled if a reply is due.</param>
    /// <returns>Whether a reply is due.</returns>
    /// <exception cref="VhostUserException">The request violates the protocol; the session must be ended.</exception>
    /// <exception cref="IOException">The request is rejected without a way to reply; the session must be ended.</exception>
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

    /// <summary>Ends all rings after the requests in flight, closes every descriptor, unmaps the guest's memory.</summary>
    public void Dispose()
    {
        // long requests end after their current piece: else the guest's memory would stay mapped until they are done
        _longWork.Dispose();
        _rings.Dispose();
        _backEnd.Dispose();
        _memory.Dispose();
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
                return ReplyNumber(request, reply, (ulong)_rings.Count);
            case FrontEndRequest.GetMaxMemorySlots:
                return ReplyNumber(request, reply, VhostUserLimits.MemorySlots);
            case FrontEndRequest.GetStatus:
                return ReplyNumber(request, reply, _status);
            case FrontEndRequest.GetVringBase:
                _ringRequests.GetBase(request, reply);
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
                SetFeatures(request.Number());
                Volatile.Write(ref _agreed, true);
                break;
            case FrontEndRequest.SetProtocolFeatures:
                SetProtocolFeatures((ProtocolFeatures)request.Number());
                Volatile.Write(ref _agreed, true);
                break;
            case FrontEndRequest.SetOwner or FrontEndRequest.ResetOwner:
                // nothing hangs on it; a session is its connection
                request.Expect(0, 0);
                break;
            case FrontEndRequest.SetStatus:
                SetStatus(request.Number());
                break;
            case FrontEndRequest.ResetDevice:
                request.Expect(0, 0);
                Reset();
                break;
            case FrontEndRequest.SetConfig:
                SetConfig(request);
                break;
            case FrontEndRequest.SetBackEndRequestDescriptor:
                request.Expect(0, 1);
                _backEnd.Set(request.TakeDescriptor(0));
                break;
            case FrontEndRequest.SetMemoryTable:
                _memory.SetTable(request);
                break;
            case FrontEndRequest.AddMemoryRegion:
                _memory.Add(request);
                break;
            case FrontEndRequest.RemoveMemoryRegion:
                _memory.Remove(request);
                break;
            case FrontEndRequest.SetInflightDescriptor:
                SetInflight(request);
                break;
            default:
                if (!_ringRequests.TryRun(request))
                {
                    throw new VhostUserException(nameof(MessageHeader), 0, $"unknown request {request.Header.Request}");
                }

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

        reply.ReplyNumber(request, result);
        return true;
    }

    private static bool ReplyNumber(Message request, Message reply, ulong value)
    {
        request.Expect(0, 0);
        reply.ReplyNumber(request, value);
        return true;
    }

    private void SetFeatures(ulong features)
    {
        if ((features & ~(_device.Features | ProtocolFeaturesBit)) != 0)
        {
            throw new RequestRefusedException($"features 0x{features & ~(_device.Features | ProtocolFeaturesBit):x} were not offered");
        }

        if (features != _rings.Features)
        {
            // a front end without protocol features cannot enable rings: they are served once they are started
            _rings.SetFeatures(features, enableAll: (features & ProtocolFeaturesBit) == 0);
        }
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

    // the memory stays: front ends that add regions one by one do not add them again
    private void Reset()
    {
        _rings.Reset();
        _status = 0;
    }

    private void GetInflight(Message request, Message reply)
    {
        request.ExpectDescriptors(0);
        var wanted = InflightDescription.Parse(request.Payload);
        var made = InflightMemory.Create(wanted, _rings.IsPacked, _device.Zones is not null, out var description, out SafeFileHandle file);
        description.WriteTo(reply.BeginReply(request, request.Header.Length));
        reply.Descriptors.Add(file);
        _rings.SetInflight(made);
    }

    private void SetInflight(Message request)
    {
        request.ExpectDescriptors(1);
        var given = InflightDescription.Parse(request.Payload);
        _rings.SetInflight(InflightMemory.Map(given, _rings.IsPacked, _device.Zones is not null, request.Descriptors[0], _mustBeSealed));
    }

    private void GetConfig(Message request, Message reply)
    {
        request.ExpectDescriptors(0);
        var access = ConfigAccess.Parse(request.Payload);
        var contents = reply.BeginReply(request, ConfigAccess.ContentsAt + access.Length);
        access.WriteTo(contents);
        _device.ReadConfig(access.Offset, contents[ConfigAccess.ContentsAt..]);
    }

    // no field can be written; what a guest writes to one that cannot has no effect (virtio 1.2, 4.1.4.6)
    private void SetConfig(Message request)
    {
        request.ExpectDescriptors(0);
        _ = ConfigAccess.Parse(request.Payload);
        if (MayAcknowledge(request))
        {
            throw new RequestRefusedException("no field of the configuration space can be written");
        }
    }
}
