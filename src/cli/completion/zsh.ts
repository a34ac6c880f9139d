import type {
  CompletedArgument,
  CompletedCommand,
  CompletedOption,
  CompletionModel,
  Values,
} from "./model.ts";

/** As `_aion` in a directory of `fpath`, or sourced. */
export function toZshScript({ program, options, commands }: CompletionModel): string {
  const toSpecs = (option: CompletedOption): readonly string[] => toOptionSpecs(option, program);
  const descriptions = commands.map(
    ({ name, description }) => `    ${quoted(`${name.replaceAll(":", "\\:")}:${description}`)}`,
  );
  const toArm = ({ name, options: own, arguments: all, commands: below }: CompletedCommand): string => {
    const specs = [...own, ...options]
      .flatMap(toSpecs)
      .concat(all.map((argument) => toArgumentSpec(argument, program)))
      .concat(below.length === 0 ? [] : ["'*::argument:->below'"]);
    const call = `_arguments${below.length === 0 ? "" : " -C"} \\\n        ${specs.join(" \\\n        ")}`;
    const more =
      below.length === 0
        ? ""
        : `\n      [[ $state == below ]] || return\n      case $words[1] in\n${below.map(toArm).join("\n")}\n      esac`;
    return `    ${name.replace(/^.* /, "")})\n      ${call}${more}\n      ;;`;
  };
  const arms = commands.map(toArm);
  return `#compdef ${program}
# zsh completion for ${program}: ${program} completion zsh > "\${fpath[1]}/_${program}", or source <(${program} completion zsh)

_${program}_store() {
  if compset -P 'sqlite:'; then
    _files
  else
    compadd -S '' -- 'sqlite:'
  fi
}

_${program}() {
  local context state state_descr line curcontext="$curcontext"
  typeset -A opt_args
  local -a commands
  commands=(
${descriptions.join("\n")}
  )
  _arguments -C \\
    ${options.flatMap(toSpecs).join(" \\\n    ")} \\
    '1:command:->command' \\
    '*::argument:->argument'
  if [[ $state == command ]]; then
    _describe -t commands command commands
    return
  fi
  [[ $state == argument ]] || return
  case $words[1] in
${arms.join("\n")}
  esac
}

if [[ \${funcstack[1]} == _${program} ]]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

function toOptionSpecs({ flags, description, values }: CompletedOption, program: string): readonly string[] {
  // One of them rules out the other.
  const others = flags.length > 1 ? `(${flags.join(" ")})` : "";
  const text = `[${escaped(description)}]`;
  return flags.map((flag) => {
    if (values === undefined) return quoted(`${others}${flag}${text}`);
    const equals = flag.startsWith("--") ? "=" : "+";
    return quoted(`${others}${flag}${equals}${text}:value:${toAction(values, program)}`);
  });
}

function toArgumentSpec({ name, values, isVariadic }: CompletedArgument, program: string): string {
  return quoted(`${isVariadic ? "*" : ""}:${escaped(name)}:${toAction(values, program)}`);
}

function toAction(values: Values, program: string): string {
  switch (values.kind) {
    case "words":
      return `(${values.words.join(" ")})`;
    case "files":
      return "_files";
    case "directories":
      return "_files -/";
    case "store":
      return `_${program}_store`;
    case "anything":
      return " ";
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
