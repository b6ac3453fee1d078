using Paddock.Posix;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>Messages about one ring: its size, addresses, events, and whether it runs.</summary>
internal sealed class RingRequests(RingSet rings)
{
    /// <summary>Runs a request.</summary>
    /// <returns>False if it is not about a ring.</returns>
    public bool TryRun(Message request)
    {
        switch (request.Request)
        {
            case FrontEndRequest.SetVringNum:
                SetSize(StateOf(request, out var ring), ring);
                return true;
            case FrontEndRequest.SetVringBase:
                SetBase(StateOf(request, out ring), ring);
                return true;
            case FrontEndRequest.SetVringEnable:
                Enable(StateOf(request, out ring), ring);
                return true;
            case FrontEndRequest.SetVringAddress:
                SetAddress(request);
                return true;
            case FrontEndRequest.SetVringKick:
                var kick = EventOf(request, out ring);
                ring.Pause();
                ring.SetKick(kick);
                rings.Start(ring);
                return true;
            case FrontEndRequest.SetVringCall:
                ring = rings[VringDescriptor.Parse(request.Payload).Ring];
                ring.Events.SetCall(EventOf(request, out _));
                return true;
            case FrontEndRequest.SetVringError:
                ring = rings[VringDescriptor.Parse(request.Payload).Ring];
                ring.Events.SetError(EventOf(request, out _));
                return true;
            default:
                return false;
        }
    }

    /// <summary>Stops a ring and replies the base at which it resumes.</summary>
    public void GetBase(Message request, Message reply)
    {
        var state = StateOf(request, out var ring);
        ring.Stop();
        (state with { Number = ring.Base }).WriteTo(reply.BeginReply(request, VringState.Size));
    }

    private static void SetBase(VringState state, RingSlot ring)
    {
        ExpectStopped(ring, state.Ring);
        ring.Base = state.Number;
    }

    private static void ExpectStopped(RingSlot ring, uint number)
    {
        if (ring.IsRunning)
        {
            throw new RequestRefusedException($"ring {number} is running");
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
        rings.Start(ring);
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
            rings.Start(ring);
        }
        else
        {
            ring.Pause();
        }
    }

    private void SetAddress(Message request)
    {
        request.ExpectDescriptors(0);
        var address = VringAddress.Parse(request.Payload);
        var ring = rings[address.Ring];
        ring.Pause();
        ring.SetAddresses(new RingAddresses(address.Descriptors, address.Available, address.Used));
        rings.Start(ring);
    }

    private VringState StateOf(Message request, out RingSlot ring)
    {
        request.ExpectDescriptors(0);
        var state = VringState.Parse(request.Payload);
        ring = rings[state.Ring];
        return state;
    }

    private EventDescriptor? EventOf(Message request, out RingSlot ring)
    {
        var wanted = VringDescriptor.Parse(request.Payload);
        request.ExpectDescriptors(wanted.HasDescriptor ? 1 : 0);
        ring = rings[wanted.Ring];
        return wanted.HasDescriptor ? new EventDescriptor(request.TakeDescriptor(0)) : null;
    }
}
