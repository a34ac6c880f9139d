import type { CompletedOption, CompletionModel, Values } from "./model.ts";
import { withBelow } from "./model.ts";

/** In `~/.config/fish/completions/aion.fish`, or sourced. */
export function toFishScript({ program, options, commands }: CompletionModel): string {
  const lines: string[] = [];
  const add = (condition: string | undefined, rest: string): void => {
    lines.push(`complete -c ${program}${condition === undefined ? "" : ` -n ${quoted(condition)}`} ${rest}`);
  };
  add(undefined, "-f");
  for (const option of options) add(undefined, toOption(option, program));
  for (const { name, description } of commands)
    add(`not __${program}_command >/dev/null`, `-a ${name} -d ${quoted(description)}`);
  const all = withBelow(commands);
  for (const { name, options: own, arguments: taken } of all) {
    const condition = `contains -- (__${program}_command) "${name}"`;
    for (const option of own) add(condition, toOption(option, program));
    for (const { values } of taken) {
      if (values.kind !== "anything") add(condition, toValues(values, program));
    }
  }
  const groups = all.filter((command) => command.commands.length > 0).map(({ name }) => name);
  const withValue = options.flatMap((option) => (option.values === undefined ? [] : option.flags));
  return `# fish completion for ${program}: ${program} completion fish > ~/.config/fish/completions/${program}.fish

function __${program}_store
    set -l path (string replace -r '^(--store=)?(sqlite:)?' '' -- (commandline -ct))
    for file in $path*
        test -d $file; and set file $file/
        echo sqlite:$file
    end
end

# Which command it is; an option's value is none.
function __${program}_command
    set -l words (commandline -opc)
    set -e words[1]
    set -l is_value false
    set -l command
    for word in $words
        if test $is_value = true
            set is_value false
            continue
        end
        switch $word
            case ${withValue.join(" ")}
                set is_value true
            case '-*'
            case '*'
                set command (string join ' ' $command $word)
                if not contains -- $command ${groups.join(" ")}
                    echo $command
                    return 0
                end
        end
    end
    test -n "$command"; or return 1
    echo $command
end

${lines.join("\n")}
`;
}

function toOption({ flags, description, values }: CompletedOption, program: string): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const takes =
    values === undefined
      ? []
      : values.kind === "files"
        ? ["-r", "-F"]
        : values.kind === "anything"
          ? ["-x"]
          : ["-x", toValues(values, program)];
  return [...names, ...takes, "-d", quoted(description)].join(" ");
}

function toValues(values: Exclude<Values, { readonly kind: "anything" }>, program: string): string {
  switch (values.kind) {
    case "words":
      return `-a ${quoted(values.words.join(" "))}`;
    case "files":
      return "-F";
    case "directories":
      return "-a '(__fish_complete_directories)'";
    case "store":
      return `-a '(__${program}_store)'`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, (character) => `\\${character}`)}'`;
}
