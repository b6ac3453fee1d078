namespace Paddock.Cli.Verbs;

/// <summary>Shell scripts that ask paddock itself for the words that may follow.</summary>
internal static class CompletionScript
{
    private const string Bash =
        """
        _paddock() {
            local word=${COMP_WORDS[COMP_CWORD]} IFS=$'\n'
            COMPREPLY=($(compgen -W "$(paddock "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "$word"))
        }
        complete -o default -F _paddock paddock

        """;

    private const string Zsh =
        """
        #compdef paddock
        _paddock() {
            local -a words_here
            words_here=("${(@f)$(paddock "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
            [[ -n "$words_here" ]] && compadd -- $words_here
            _files
        }
        compdef _paddock paddock

        """;

    private const string Fish =
        """
        function __paddock_words
            set -l line (commandline -cp)
            paddock "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c paddock -a '(__paddock_words)'

        """;

    public static string For(string shell) => shell switch
    {
        "zsh" => Zsh,
        "fish" => Fish,
        _ => Bash,
    };
}
