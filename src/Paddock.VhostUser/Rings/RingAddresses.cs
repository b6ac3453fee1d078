namespace Paddock.VhostUser.Rings;

/// <summary>
/// Addresses of a ring's three parts in the front end's process (VHOST_USER_SET_VRING_ADDR).
/// </summary>
/// <param name="Descriptors">The descriptor table, or the packed descriptor ring.</param>
/// <param name="Driver">The available ring, or the driver's event suppression.</param>
/// <param name="Device">The used ring, or the device's event suppression.</param>
internal readonly record struct RingAddresses(ulong Descriptors, ulong Driver, ulong Device);
