using Paddock.Posix;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>What is said of rings.</summary>
internal sealed partial class FrontEndSession
{
    private void RunForRing(Message request)
    {
        switch (request.Request)
        {
            case FrontEndRequest.SetVringNum:
                SetSize(StateOf(request, out var ring), ring);
                break;
            case FrontEndRequest.SetVringBase:
                SetBase(StateOf(request, out ring), ring);
                break;
            case FrontEndRequest.SetVringEnable:
                Enable(StateOf(request, out ring), ring);
                break;
            case FrontEndRequest.SetVringAddress:
                SetAddress(request);
                break;
            case FrontEndRequest.SetVringKick:
                var kick = EventOf(request, out ring);
                ring.Pause();
                ring.SetKick(kick);
                Start(ring);
                break;
            case FrontEndRequest.SetVringCall:
                ring = RingOf(VringDescriptor.Parse(request.Payload).Ring);
                ring.Events.SetCall(EventOf(request, out _));
                break;
            case FrontEndRequest.SetVringError:
                ring = RingOf(VringDescriptor.Parse(request.Payload).Ring);
                ring.Events.SetError(EventOf(request, out _));
                break;
            default:
                throw new VhostUserException(nameof(MessageHeader), 0, $"unknown request {request.Header.Request}");
        }
    }

    private void SetSize(VringState state, RingSlot ring)
    {
        if (state.Number is 0 or > RingLimits.LargestRing)
        {
            throw new VhostUserException(nameof(FrontEndRequest.SetVringNum), sizeof(uint), $"a ring of {state.Number} descriptors");
        }

        ExpectStopped(ring, state.Ring);
        ring.SetSize((int)state.Number);
        Start(ring);
    }

    private static void SetBase(VringState state, RingSlot ring)
    {
        ExpectStopped(ring, state.Ring);
        ring.Base = state.Number;
    }

    private void Enable(VringState state, RingSlot ring)
    {
        if (state.Number > 1)
        {
            throw new VhostUserException(nameof(FrontEndRequest.SetVringEnable), sizeof(uint), $"{state.Number}, which is neither 0 nor 1");
        }

        ring.IsEnabled = state.Number == 1;
        if (ring.IsEnabled)
        {
            Start(ring);
        }
        else
        {
            ring.Pause();
        }
    }

    private void SetAddress(Message request)
    {
        ExpectDescriptors(request, 0);
        var address = VringAddress.Parse(request.Payload);
        var ring = RingOf(address.Ring);
        ring.Pause();
        ring.SetAddresses(new RingAddresses(address.Descriptors, address.Available, address.Used));
        Start(ring);
    }

    private void GetVringBase(Message request, Message reply)
    {
        var state = StateOf(request, out var ring);
        ring.Stop();
        (state with { Number = ring.Base }).WriteTo(BeginReply(request, reply, VringState.Size));
    }

    private VringState StateOf(Message request, out RingSlot ring)
    {
        ExpectDescriptors(request, 0);
        var state = VringState.Parse(request.Payload);
        ring = RingOf(state.Ring);
        return state;
    }

    private EventDescriptor? EventOf(Message request, out RingSlot ring)
    {
        var wanted = VringDescriptor.Parse(request.Payload);
        ExpectDescriptors(request, wanted.HasDescriptor ? 1 : 0);
        ring = RingOf(wanted.Ring);
        return wanted.HasDescriptor ? new EventDescriptor(request.TakeDescriptor(0)) : null;
    }

    private RingSlot RingOf(long number)
        => number < _rings.Length
            ? _rings[number]
            : throw new VhostUserException("ring number", 0, $"ring {number} of {_rings.Length}");

    private static void ExpectStopped(RingSlot ring, uint number)
    {
        if (ring.IsRunning)
        {
            throw new RequestRefusedException($"ring {number} is running");
        }
    }

    private void Start(RingSlot ring) => ring.TryStart(_memory, _features, _inflight);

    private void PauseRings()
    {
        foreach (var ring in _rings)
        {
            ring.Pause();
        }
    }

    private void StartRings()
    {
        foreach (var ring in _rings)
        {
            Start(ring);
        }
    }
}
