# Completion of deskyard for bash. Use: source <(deskyard completion bash)
_deskyard() {
    local IFS=$'\n'
    COMPREPLY=($(deskyard __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _deskyard deskyard
