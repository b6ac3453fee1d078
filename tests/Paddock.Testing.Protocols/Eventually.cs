namespace Paddock.Testing.Protocols;

/// <summary>Waits for what a server reports only when it is asked.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60), Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Asks until the answer is right.</summary>
    /// <returns>The answer; a test that waits for it in vain fails with the last one.</returns>
    public static async Task<T> IsAsync<T>(Func<Task<T>> ask, Func<T, bool> isRight)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (true)
        {
            var answer = await ask();
            if (isRight(answer))
            {
                return answer;
            }

            Assert.False(limit.IsCancellationRequested, $"still not right after {Limit}: {answer}");
            await Task.Delay(Pause, TestContext.Current.CancellationToken);
        }
    }
}
