namespace Paddock.VfioUser.Wire;

/// <summary>Checks that payloads have in common.</summary>
internal static class Payload
{
    /// <exception cref="RequestFailedException">The payload has another size.</exception>
    public static void ExpectSize(Command command, int expected, int found)
    {
        if (found != expected)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"{command} with {found} bytes of payload: expected {expected}");
        }
    }

    /// <exception cref="RequestFailedException">The payload is shorter than its fixed part.</exception>
    public static void ExpectLeast(Command command, int least, int found)
    {
        if (found < least)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"{command} with {found} bytes of payload: expected at least {least}");
        }
    }

    /// <exception cref="RequestFailedException">The field <c>argsz</c> leaves no room for the structure.</exception>
    public static void ExpectArguments(Command command, int least, uint found)
    {
        if (found < least)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"{command} with argsz {found}: expected at least {least}");
        }
    }
}
