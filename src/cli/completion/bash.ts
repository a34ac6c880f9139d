import type { CompletedCommand, CompletionModel, Values } from "./model.ts";
import { withBelow } from "./model.ts";

/**
 * For bash 3.2 (of macOS) and later, without bash-completion. Bash breaks words at `=` and `:`, so they are put together again first,
 * and of what is offered only the part behind the last break is given back.
 */
export function toBashScript({ program, options, commands }: CompletionModel): string {
  const flags = (of: CompletionModel["options"]): readonly string[] =>
    of.flatMap((option) => option.flags).filter((flag) => flag.startsWith("--"));
  const shared = flags(options);
  const all = withBelow(commands);
  const groups = all.filter((command) => command.commands.length > 0).map(({ name }) => name);
  const optionArms = [
    ...options.flatMap((option) => toArms("*", option)),
    ...all.flatMap((command) => command.options.flatMap((option) => toArms(command.name, option))),
  ];
  const flagArms = all.map(
    (command) => `    '${command.name}') found='${[...flags(command.options), ...shared].join(" ")}' ;;`,
  );
  const argumentArms = all.flatMap(toArgumentArms);
  return `# bash completion for ${program}: source <(${program} completion bash)

# What the value of an option is. Fails for an option that takes none.
_${program}_option_value() {
  case "$1 $2" in
${optionArms.join("\n")}
    *) return 1 ;;
  esac
}

# What an argument of a command is, from 1 on.
_${program}_argument() {
  case "$1 $2" in
${argumentArms.join("\n")}
    *) kind=anything ;;
  esac
}

# Whether commands stand below it.
_${program}_group() {
  case "$1" in
    ${groups.join(" | ")}) return 0 ;;
    *) return 1 ;;
  esac
}

_${program}_flags() {
  case "$1" in
${flagArms.join("\n")}
    *) found='${shared.join(" ")}' ;;
  esac
}

_${program}() {
  local line=\${COMP_LINE:0:COMP_POINT} words count=0 index word
  words=()
  line=\${line#*"\${COMP_WORDS[0]}"}
  for ((index = 1; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if ((count > 0)) && [[ $line != [[:blank:]]* ]]; then
      words[count - 1]+=$word
    else
      words[count]=$word
      count=$((count + 1))
    fi
    line=\${line#*"$word"}
  done

  local current=\${words[count - 1]} command='' option='' position=1 kind='' found=''
  for ((index = 0; index < count - 1; index++)); do
    word=\${words[index]}
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == --*=* ]]; then
      :
    elif [[ $word == -* ]]; then
      if _${program}_option_value "$command" "$word"; then option=$word; fi
    elif [[ -z $command ]]; then
      command=$word
    elif _${program}_group "$command"; then
      command="$command $word"
    else
      position=$((position + 1))
    fi
  done

  local before='' value=$current
  kind=''
  if [[ -n $option ]]; then
    _${program}_option_value "$command" "$option"
  elif [[ $current == --*=* ]]; then
    before=\${current%%=*}=
    value=\${current#*=}
    _${program}_option_value "$command" "\${current%%=*}" || kind=anything
  elif [[ $current == -* ]]; then
    kind=words
    _${program}_flags "$command"
  elif [[ -z $command ]]; then
    kind=words
    found='${commands.map(({ name }) => name).join(" ")}'
  else
    _${program}_argument "$command" "$position"
  fi

  local fragment=\${COMP_WORDS[COMP_CWORD]}
  if [[ $fragment == [=:] ]]; then fragment=''; fi
  local broken=\${current%"$fragment"}
  COMPREPLY=()
  if [[ $kind == store ]]; then
    if [[ $value == sqlite:* ]]; then
      before+=sqlite:
      value=\${value#sqlite:}
      kind=files
    else
      kind=words
      found=sqlite:
      compopt -o nospace 2>/dev/null
    fi
  fi
  case $kind in
    words)
      while IFS= read -r word; do
        word=$before$word
        COMPREPLY+=("\${word#"$broken"}")
      done < <(compgen -W "$found" -- "$value")
      ;;
    files | directories)
      compopt -o filenames 2>/dev/null
      local action=-f
      if [[ $kind == directories ]]; then action=-d; fi
      while IFS= read -r word; do
        word=$before$word
        COMPREPLY+=("\${word#"$broken"}")
      done < <(compgen "$action" -- "$value")
      ;;
  esac
}

complete -F _${program} ${program}
`;
}

function toArms(
  command: string,
  option: { readonly flags: readonly string[]; readonly values?: Values },
): readonly string[] {
  const { flags, values } = option;
  if (values === undefined) return [];
  // The command is a pattern where it is any.
  const patterns = flags.map((flag) => (command === "*" ? `*' ${flag}'` : `'${command} ${flag}'`));
  return [`    ${patterns.join(" | ")}) ${toAssignment(values)} ;;`];
}

function toArgumentArms({ name, arguments: all }: CompletedCommand): readonly string[] {
  return all
    .map(({ values, isVariadic }, index) => ({ values, place: isVariadic ? "*" : String(index + 1) }))
    .filter(({ values }) => values.kind !== "anything")
    .map(({ values, place }) => `    '${name} '${place}) ${toAssignment(values)} ;;`);
}

function toAssignment(values: Values): string {
  return values.kind === "words" ? `kind=words found='${values.words.join(" ")}'` : `kind=${values.kind}`;
}
