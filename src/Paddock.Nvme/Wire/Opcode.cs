namespace Paddock.Nvme.Wire;

/// <summary>Operation codes of I/O commands (NVM command set 1.0, 3; ZNS command set 1.1, 3) and of the fabrics commands.</summary>
internal static class Opcode
{
    /// <summary>Flush.</summary>
    public const byte Flush = 0x00;

    /// <summary>Write.</summary>
    public const byte Write = 0x01;

    /// <summary>Read.</summary>
    public const byte Read = 0x02;

    /// <summary>Write Uncorrectable.</summary>
    public const byte WriteUncorrectable = 0x04;

    /// <summary>Compare.</summary>
    public const byte Compare = 0x05;

    /// <summary>Write Zeroes.</summary>
    public const byte WriteZeroes = 0x08;

    /// <summary>Dataset Management.</summary>
    public const byte DatasetManagement = 0x09;

    /// <summary>Verify.</summary>
    public const byte Verify = 0x0C;

    /// <summary>Copy.</summary>
    public const byte Copy = 0x19;

    /// <summary>Zone Management Send.</summary>
    public const byte ZoneManagementSend = 0x79;

    /// <summary>Zone Management Receive.</summary>
    public const byte ZoneManagementReceive = 0x7A;

    /// <summary>Zone Append.</summary>
    public const byte ZoneAppend = 0x7D;

    /// <summary>Every fabrics command.</summary>
    public const byte Fabrics = 0x7F;
}

/// <summary>Operation codes of admin commands (NVMe base 2.0, 5).</summary>
internal static class AdminOpcode
{
    /// <summary>Delete I/O Submission Queue.</summary>
    public const byte DeleteIoSubmissionQueue = 0x00;

    /// <summary>Create I/O Submission Queue.</summary>
    public const byte CreateIoSubmissionQueue = 0x01;

    /// <summary>Delete I/O Completion Queue.</summary>
    public const byte DeleteIoCompletionQueue = 0x04;

    /// <summary>Create I/O Completion Queue.</summary>
    public const byte CreateIoCompletionQueue = 0x05;

    /// <summary>Doorbell Buffer Config.</summary>
    public const byte DoorbellBufferConfig = 0x7C;

    /// <summary>Get Log Page.</summary>
    public const byte GetLogPage = 0x02;

    /// <summary>Identify.</summary>
    public const byte Identify = 0x06;

    /// <summary>Abort.</summary>
    public const byte Abort = 0x08;

    /// <summary>Set Features.</summary>
    public const byte SetFeatures = 0x09;

    /// <summary>Get Features.</summary>
    public const byte GetFeatures = 0x0A;

    /// <summary>Asynchronous Event Request.</summary>
    public const byte AsyncEventRequest = 0x0C;

    /// <summary>Namespace Management.</summary>
    public const byte NamespaceManagement = 0x0D;

    /// <summary>Namespace Attachment.</summary>
    public const byte NamespaceAttachment = 0x15;

    /// <summary>Get LBA Status.</summary>
    public const byte GetLbaStatus = 0x86;

    /// <summary>Keep Alive.</summary>
    public const byte KeepAlive = 0x18;

    /// <summary>Format NVM.</summary>
    public const byte FormatNvm = 0x80;
}

/// <summary>Types of fabrics commands (NVMe base 2.0, 6).</summary>
internal static class FabricsType
{
    /// <summary>Property Set.</summary>
    public const byte PropertySet = 0x00;

    /// <summary>Connect.</summary>
    public const byte Connect = 0x01;

    /// <summary>Property Get.</summary>
    public const byte PropertyGet = 0x04;

    /// <summary>Authentication Send.</summary>
    public const byte AuthenticationSend = 0x05;

    /// <summary>Authentication Receive.</summary>
    public const byte AuthenticationReceive = 0x06;

    /// <summary>Disconnect.</summary>
    public const byte Disconnect = 0x08;
}
