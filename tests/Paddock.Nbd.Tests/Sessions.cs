using Paddock.Nbd.Server;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Tests;

/// <summary>Creates sessions after the handshake, on any channel.</summary>
internal static class Sessions
{
    public static NbdSession Over(IByteChannel channel, SlabPool pool, HeaderForm form, Block.IBlockDevice device, bool alwaysHere = false)
    {
        var export = new NbdExport { Name = "", Device = device, AllocationDepth = true };
        var handshake = new ServerHandshake(new Dictionary<string, NbdExport> { [""] = export }, new NbdServerOptions());
        handshake.Begin();
        Step([0, 0, 0, 3]);
        if (form != HeaderForm.Simple)
        {
            Step(Option(form == HeaderForm.Structured ? NbdOption.StructuredReply : NbdOption.ExtendedHeaders, []));
            Step(Option(NbdOption.SetMetaContext, new MetaContextRequest("", ["base:allocation", "qemu:allocation-depth"]).ToBytes()));
        }

        Step(Option(NbdOption.Go, new InfoRequest("", []).ToBytes()));
        var counters = new NbdCounters(new RequestCounters(), new LatencyTable());
        return new NbdSession(
            handshake, new ReceiveBuffer(channel, pool, pool.Rent()), pool, counters, TimeProvider.System) { AlwaysHere = alwaysHere };

        void Step(byte[] bytes) => Assert.InRange(handshake.Step(bytes, out _), HandshakeStep.Continue, HandshakeStep.Transmission);
    }

    private static byte[] Option(NbdOption option, byte[] payload)
    {
        byte[] bytes = new byte[OptionHeader.Size + payload.Length];
        new OptionHeader(option, (uint)payload.Length).WriteTo(bytes);
        payload.CopyTo(bytes, OptionHeader.Size);
        return bytes;
    }
}
