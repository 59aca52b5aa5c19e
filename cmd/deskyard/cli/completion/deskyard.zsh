#compdef deskyard
# Completion of deskyard for zsh. Use: source <(deskyard completion zsh)
_deskyard() {
    local -a found
    found=("${(@f)$(deskyard __complete -- "${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -a found
    else
        _files
    fi
}
compdef _deskyard deskyard
