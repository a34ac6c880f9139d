import type { Argument, Command, Option } from "commander";

/** What may stand at a place of the command line. */
export type Values =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "directories" }
  /** `sqlite:` and a file. */
  | { readonly kind: "store" }
  /** Nothing that a shell could know: an id, a number. */
  | { readonly kind: "anything" };

export interface CompletedOption {
  /** `-h`, `--help`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Absent: it takes none. */
  readonly values?: Values;
}

export interface CompletedArgument {
  readonly name: string;
  readonly values: Values;
  readonly isVariadic: boolean;
}

export interface CompletedCommand {
  /** Of one below another: both, `schedule create`. */
  readonly name: string;
  readonly description: string;
  /** Without those of the program, which each command takes too. */
  readonly options: readonly CompletedOption[];
  readonly arguments: readonly CompletedArgument[];
  /** Those below it. */
  readonly commands: readonly CompletedCommand[];
}

export interface CompletionModel {
  readonly program: string;
  readonly options: readonly CompletedOption[];
  readonly commands: readonly CompletedCommand[];
}

/** What can be completed, from the commands as they are defined. */
export function toCompletionModel(program: Command): CompletionModel {
  const helper = program.createHelp();
  const visible = helper.visibleCommands(program);
  const words = visible.map((command) => command.name());
  const globalOptions = helper.visibleOptions(program).map(toOption);
  const globalFlags = new Set(globalOptions.flatMap(({ flags }) => flags));
  const toCommand = (command: Command, above: string): CompletedCommand => ({
    name: `${above}${command.name()}`,
    description: command.description(),
    options: helper
      .visibleOptions(command)
      .map(toOption)
      .filter(({ flags }) => !flags.some((flag) => globalFlags.has(flag))),
    arguments: [
      ...toSubcommand(command),
      ...command.registeredArguments.map((argument) => toArgument(argument, words)),
    ],
    commands: command.commands.map((below) => toCommand(below, `${above}${command.name()} `)),
  });
  return {
    program: program.name(),
    options: globalOptions,
    commands: visible.map((command) => toCommand(command, "")),
  };
}

/** Each, and those below it. */
export function withBelow(commands: readonly CompletedCommand[]): readonly CompletedCommand[] {
  return commands.flatMap((command) => [command, ...withBelow(command.commands)]);
}

function toOption(option: Option): CompletedOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined && flag !== null);
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1];
  return {
    flags,
    description: option.description,
    ...(placeholder === undefined
      ? {}
      : {
          values:
            option.long === "--store"
              ? ({ kind: "store" } as const)
              : toValues(placeholder, option.argChoices),
        }),
  };
}

/** Where commands stand below a command, one of them comes first. */
function toSubcommand(command: Command): readonly CompletedArgument[] {
  const words = command.commands.map((sub) => sub.name());
  return words.length === 0 ? [] : [{ name: "command", values: { kind: "words", words }, isVariadic: false }];
}

function toArgument(argument: Argument, commands: readonly string[]): CompletedArgument {
  const name = argument.name();
  return {
    name,
    values: name === "command" ? { kind: "words", words: commands } : toValues(name, argument.argChoices),
    isVariadic: argument.variadic,
  };
}

/** The words in the help decide: what is called a file there is a file. */
function toValues(placeholder: string, choices: readonly string[] | undefined): Values {
  if (choices !== undefined) return { kind: "words", words: choices };
  switch (placeholder) {
    case "file":
    case "path":
      return { kind: "files" };
    case "dir":
      return { kind: "directories" };
    default:
      return { kind: "anything" };
  }
}
