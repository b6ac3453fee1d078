namespace Paddock.VhostUser.Wire;

/// <summary>Front-end message types ("Front-end message types").</summary>
internal enum FrontEndRequest : uint
{
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    ResetOwner = 4,
    SetMemoryTable = 5,
    SetVringNum = 8,
    SetVringAddress = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    SetVringError = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    SetBackEndRequestDescriptor = 21,
    GetConfig = 24,
    SetConfig = 25,
    GetInflightDescriptor = 31,
    SetInflightDescriptor = 32,
    ResetDevice = 34,
    GetMaxMemorySlots = 36,
    AddMemoryRegion = 37,
    RemoveMemoryRegion = 38,
    SetStatus = 39,
    GetStatus = 40,
}

/// <summary>Back-end message types ("Back-end message types").</summary>
internal enum BackEndRequest : uint
{
    ConfigChange = 2,
}

/// <summary>Flags of the header, with the version in the lowest two bits.</summary>
[Flags]
internal enum HeaderFlags : uint
{
    None = 0,
    Version = 1,
    VersionMask = 3,
    Reply = 4,
    NeedReply = 8,
}

/// <summary>VHOST_USER_PROTOCOL_F_*.</summary>
[Flags]
internal enum ProtocolFeatures : ulong
{
    None = 0,
    MultiQueue = 1 << 0,
    ReplyAck = 1 << 3,
    BackEndRequest = 1 << 5,
    Config = 1 << 9,
    InflightSharedMemory = 1 << 12,
    ResetDevice = 1 << 13,
    ConfigureMemorySlots = 1 << 15,
    Status = 1 << 16,
}
