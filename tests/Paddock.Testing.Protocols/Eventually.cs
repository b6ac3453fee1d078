namespace Paddock.Testing.Protocols;

/// <summary>Polls for state that a server reports only on request.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60), Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Polls until the reply satisfies the condition.</summary>
    /// <returns>The reply; on timeout the test fails with the last one.</returns>
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

    /// <summary>Polls until the condition holds.</summary>
    public static Task TrueAsync(Func<bool> condition) => IsAsync(() => Task.FromResult(condition()), static holds => holds);
}
