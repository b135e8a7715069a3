# Completion of usaged for bash: commands and flags, as `usaged … --help` lists them.
_usaged() {
  local current=${COMP_WORDS[COMP_CWORD]} word help
  local -a path=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      -*) break ;;
      *) path+=("$word") ;;
    esac
  done
  if [[ ${COMP_WORDS[COMP_CWORD-1]} == --*file || ${COMP_WORDS[COMP_CWORD-1]} == --config || ${COMP_WORDS[COMP_CWORD-1]} == --*dir ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  help=$(usaged "${path[@]}" --help 2>/dev/null) || return
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE '(^|[ ,])--[a-z-]+' <<<"$help" | tr -d ' ,' | sort -u)" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }' <<<"$help")" -- "$current")
    [[ ${#COMPREPLY[@]} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _usaged usaged
