using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tests;

public class QueueAdmissionTests
{
    private readonly QueueAdmission _admission = new();

    [Fact]
    public void Unconnected_queue_admits_only_Connect()
    {
        Assert.False(_admission.IsAdmitted);
        Assert.Equal(0, _admission.AuthenticatingMilliseconds);
        Assert.Null(_admission.RefusalOf(
            AdmissionTests.Entry(Opcode.Fabrics, FabricsType.Connect, SubmissionEntry.InCapsule, ConnectData.Size)));
        Assert.Equal(
            NvmeStatus.SglLengthInvalid,
            _admission.RefusalOf(
                AdmissionTests.Entry(Opcode.Fabrics, FabricsType.Connect, SubmissionEntry.InCapsule, ConnectData.Size + 1)));
        Assert.Equal(
            NvmeStatus.CommandSequence, _admission.RefusalOf(AdmissionTests.Entry(Opcode.Read, 1, SubmissionEntry.InTransport, 512)));
        Assert.Equal(
            NvmeStatus.CommandSequence,
            _admission.RefusalOf(AdmissionTests.Entry(Opcode.Fabrics, FabricsType.AuthenticationSend, SubmissionEntry.InCapsule, 512)));
    }
}
