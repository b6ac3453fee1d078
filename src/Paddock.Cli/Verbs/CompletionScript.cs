namespace Paddock.Cli.Verbs;

/// <summary>Shell completion scripts; they run paddock to get the candidates.</summary>
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
            local -a candidates
            candidates=("${(@f)$(paddock "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
            [[ -n "$candidates" ]] && compadd -- $candidates
            _files
        }
        compdef _paddock paddock

        """;

    private const string Fish =
        """
        function __paddock_candidates
            set -l line (commandline -cp)
            paddock "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c paddock -a '(__paddock_candidates)'

        """;

    public static string For(string shell) => shell switch
    {
        "zsh" => Zsh,
        "fish" => Fish,
        _ => Bash,
    };
}
