# Completion of deskyard for fish. Use: deskyard completion fish | source
function __deskyard_complete
    set -l words (commandline -opc) (commandline -ct)
    deskyard __complete -- $words[2..-1] 2>/dev/null
end
complete -c deskyard -f -a '(__deskyard_complete)'
