import type { Command } from "commander";
import { Argument } from "commander";
import { toBashScript } from "./completion/bash.ts";
import { toFishScript } from "./completion/fish.ts";
import type { CompletionModel } from "./completion/model.ts";
import { toCompletionModel } from "./completion/model.ts";
import { toZshScript } from "./completion/zsh.ts";
import { Output } from "./output.ts";

const scripts = {
  bash: toBashScript,
  zsh: toZshScript,
  fish: toFishScript,
} as const satisfies Readonly<Record<string, (model: CompletionModel) => string>>;

type Shell = keyof typeof scripts;

const shells = Object.keys(scripts) as readonly Shell[];

/** The command that helps the shell: completion. It needs no store. */
export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .description("Prints a script by which a shell completes what is typed after `aion`.")
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .addHelpText(
      "after",
      `
To have it in each shell that is opened:
  bash: echo 'source <(aion completion bash)' >> ~/.bashrc
  zsh:  aion completion zsh > "\${fpath[1]}/_aion"
  fish: aion completion fish > ~/.config/fish/completions/aion.fish`,
    )
    .action((shell: Shell, _options: unknown, command: Command) => {
      const output = new Output({
        isJson: command.optsWithGlobals<{ readonly json?: boolean }>().json === true,
      });
      const script = scripts[shell](toCompletionModel(program));
      output.told("completion", script.trimEnd(), { shell, script });
    });
}
