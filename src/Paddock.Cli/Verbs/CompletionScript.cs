namespace Paddock.Cli.Verbs;

/// <summary>Shell completion scripts; they run paddock to get the candidates and what they mean.</summary>
internal static class CompletionScript
{
    // readline shows descriptions in lists only, and replaces what follows the last of its word breaks
    private const string Bash =
        """
        _paddock() {
            local line=${COMP_LINE:0:COMP_POINT} breaks= cut= entry word width=0
            local -a entries=() words=() texts=()
            mapfile -t entries < <("${COMP_WORDS[0]}" '[complete]' "$line" 2>/dev/null)
            COMPREPLY=()
            ((${#entries[@]})) || return 0
            [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
            [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
            word=${line##*[[:space:]]}
            [[ $breaks ]] && cut=${word%"${word##*[$breaks]}"}
            for entry in "${entries[@]}"; do
                word=${entry%%$'\t'*}
                words+=("${word#"$cut"}")
                ((${#words[-1]} > width)) && width=${#words[-1]}
                [[ $entry == *$'\t'* ]] && texts+=("(${entry#*$'\t'})") || texts+=("")
            done
            if ((${#words[@]} == 1)); then
                [[ ${words[0]} == *= ]] && compopt -o nospace 2>/dev/null
                COMPREPLY=("${words[0]}")
            elif ((COMP_TYPE == 63 || COMP_TYPE == 33)); then
                local i
                for i in "${!words[@]}"; do
                    printf -v entry '%-*s  %s' "$width" "${words[i]}" "${texts[i]}"
                    COMPREPLY+=("${entry:0:${COLUMNS:-80}-4}")
                done
            else
                COMPREPLY=("${words[@]}")
            fi
        }
        complete -o default -F _paddock paddock

        """;

    private const string Zsh =
        """
        #compdef paddock
        _paddock() {
            local entry word
            local -a entries values texts open opentexts
            entries=("${(@f)$("${words[1]}" '[complete]' "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
            for entry in "${entries[@]}"; do
                [[ -n $entry ]] || continue
                word=${entry%%$'\t'*}
                if [[ $word == *= ]]; then
                    open+=("$word")
                    opentexts+=("${entry/$'\t'/  -- }")
                else
                    values+=("$word")
                    texts+=("${entry/$'\t'/  -- }")
                fi
            done
            (($#values)) && compadd -l -d texts -- "${values[@]}"
            (($#open)) && compadd -l -S '' -d opentexts -- "${open[@]}"
            (($#values + $#open)) || _files
        }
        compdef _paddock paddock

        """;

    private const string Fish =
        """
        function __paddock_candidates
            set -l words (commandline -opc)
            $words[1] '[complete]' (commandline -cp | string collect) 2>/dev/null
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
