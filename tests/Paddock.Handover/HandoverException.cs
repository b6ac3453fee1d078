namespace Paddock.Handover;

/// <summary>A hand-over lost data, wrote something twice, or did not end.</summary>
/// <param name="message">What is wrong.</param>
public sealed class HandoverException(string message) : Exception(message);
