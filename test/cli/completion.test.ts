/** `aion completion`: what shells make of the scripts. Bash is asked for real; zsh and fish where they are. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runStatuses } from "../../src/core/status.ts";
import { createProgram } from "../../src/cli/command-line.ts";
import { templateNames } from "../../src/cli/project.ts";
import { CommandTest } from "./command.ts";

const test = new CommandTest();

const shells = ["bash", "zsh", "fish"] as const;
const isThere = (shell: string): boolean => spawnSync(shell, ["--version"]).error === undefined;

beforeAll(async () => {
  for (const shell of shells) {
    const { stdout, stderr, exitCode } = await test.run(["completion", shell]);
    if (exitCode !== 0 || stderr !== "") throw new Error(`aion completion ${shell} failed: ${stderr}`);
    writeFileSync(path.join(test.directory, `aion.${shell}`), stdout);
  }
  mkdirSync(path.join(test.directory, "place/inner"), { recursive: true });
  for (const file of ["order.ts", "other file.ts", "data.db", "place/deep.db"])
    writeFileSync(path.join(test.directory, file), "");
});
afterAll(() => test.dispose());

/** Words as bash has them when it asks: broken at blanks, and at each `=` and `:`. */
function toWords(line: string): readonly string[] {
  const words = line.split(" ").flatMap((word) => (word === "" ? [] : word.split(/([=:])/)));
  const kept = words.filter((word) => word !== "");
  return line.endsWith(" ") ? [...kept, ""] : kept;
}

/** What bash offers for what was typed: the last word, or what of it stands behind the last break. */
function complete(line: string): readonly string[] {
  const words = toWords(line);
  const script = `source ./aion.bash
COMP_LINE=$1 COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_aion aion "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", script, "bash", line, ...words], {
    cwd: test.directory,
    encoding: "utf8",
  });
  // "compopt: not currently executing completion function" goes nowhere.
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout.split("\n").filter((text) => text !== "");
}

const program = createProgram();
const commands = program.createHelp().visibleCommands(program);
const commandNames = commands.map((command) => command.name());

/**
 * What each line becomes when a tab follows it. What is completed is run, and is a function that tells what it was given; behind `#`
 * there is nothing. `script` (of util-linux) makes the terminal.
 */
function completedOnTerminal(shell: string, setUp: string, lines: readonly string[]): readonly string[] {
  const tell = "aion() { printf '<%s>' \"$@\"; echo; }";
  const typed = [`${setUp}; ${tell}`, ...lines.map((line) => `${line}\t#`), "exit", ""];
  const { stdout } = spawnSync("script", ["-qec", shell, "/dev/null"], {
    cwd: test.directory,
    input: typed.join("\n"),
    encoding: "utf8",
    timeout: 240_000,
    env: { ...process.env, TERM: "dumb", HISTFILE: "" },
  });
  return stdout
    .replaceAll("\r", "")
    .split("\n")
    .filter((line) => line.startsWith("<"));
}

describe("bash", () => {
  it("takes the script without a word, and knows whom to ask", () => {
    const { stdout, stderr } = spawnSync("bash", ["-c", "set -eu; source ./aion.bash; complete -p aion"], {
      cwd: test.directory,
      encoding: "utf8",
    });
    expect({ stdout, stderr }).toEqual({ stdout: "complete -F _aion aion\n", stderr: "" });
  });

  it("offers every command", () => {
    expect(commandNames).toContain("doctor");
    expect(commandNames).toContain("help");
    expect(complete("aion ").toSorted()).toEqual(commandNames.toSorted());
  });

  it.each(commands.map((command) => [command.name(), command] as const))(
    "offers every option of %s, and those that each command has",
    (name, command) => {
      const { options } = command;
      const shown = [...options, ...program.options].filter(({ hidden }) => !hidden);
      const flags = shown.map((option) => option.long ?? "");
      expect(new Set(complete(`aion ${name} --`))).toEqual(new Set([...flags, "--help"]));
    },
  );

  const below = commands.flatMap((command) =>
    command.commands.map((sub) => [`${command.name()} ${sub.name()}`, sub] as const),
  );

  it.each(below)("offers every option of %s, too", (name, command) => {
    const shown = [...command.options, ...program.options].filter(({ hidden }) => !hidden);
    const flags = shown.map((option) => option.long ?? "");
    expect(new Set(complete(`aion ${name} --`))).toEqual(new Set([...flags, "--help"]));
  });

  it.each([
    ["the beginning of a command", "aion li", ["list"]],
    ["a command behind an option with a value", "aion --store list desc", ["describe"]],
    ["a command behind an option without one", "aion --json desc", ["describe"]],
    ["the beginning of an option", "aion list --sta", ["--status", "--started-after", "--started-before"]],
    ["a status", "aion list --status ", [...runStatuses]],
    ["a status behind =", "aion list --status=c", ["completed", "cancelled", "continued-as-new"]],
    ["a status right behind =", "aion count --status=", [...runStatuses]],
    ["a template", "aion init place --template s", ["subscription"]],
    ["all templates", "aion init --template ", [...templateNames]],
    ["a shell", "aion completion ", ["bash", "zsh", "fish"]],
    ["a policy", "aion start t --id a:b --reuse after-", ["after-close", "after-failure"]],
    ["a command to be helped with", "aion help rou", ["route"]],
    ["a file", "aion build or", ["order.ts"]],
    ["a file with a blank in its name", "aion deploy ot", ["other file.ts"]],
    ["a file of an option", "aion query a b --workflows ord", ["order.ts"]],
    ["a file of an option, behind =", "aion start t --input-file=ord", ["order.ts"]],
    ["a directory and no file", "aion init p", ["place"]],
    ["the beginning of a store", "aion list --store ", ["sqlite:"]],
    ["the file of a store", "aion list --store sqlite:da", ["data.db"]],
    ["the file of a store, behind =", "aion --store=sqlite:place/d", ["place/deep.db"]],
    ["a command below a command", "aion namespace cr", ["create"]],
    ["a policy of a command below a command", "aion schedule create n t --overlap b", ["buffer-one"]],
    ["a policy right behind =", "aion schedule update n --overlap=allow", ["allow-all"]],
    ["nothing for an id of a command below a command", "aion schedule pause n", []],
    ["nothing for the address of a server", "aion list --url ", []],
    ["no file for a second argument", "aion build order.ts or", []],
    ["nothing for an id", "aion describe o", []],
    ["nothing for a number", "aion list --limit ", []],
    ["nothing for the value of an option that has none", "aion list --all=", []],
    ["nothing for a command that does not exist", "aion frob o", []],
  ])("offers %s", (_what, line, offered) => {
    expect(complete(line).toSorted()).toEqual(offered.toSorted());
  });

  it.skipIf(!isThere("script"))("completes what is typed on a terminal", () => {
    const setUp = "PS1=''; source ./aion.bash";
    const typed = ["aion li", "aion list --status=comp", "aion list --store sqlite:place/d"];
    const said = completedOnTerminal("bash --norc --noprofile -i", setUp, typed);
    expect(said).toEqual(["<list>", "<list><--status=completed>", "<list><--store><sqlite:place/deep.db>"]);
  });
});

describe.skipIf(!isThere("fish"))("fish", () => {
  it("offers commands, options, values and files", () => {
    const lines = [
      "aion li",
      "aion list --stat",
      "aion list --status comp",
      "aion --store x desc",
      "aion build or",
      "aion schedule create n t --overlap b",
    ];
    const script = `source ./aion.fish; for line in $argv; complete -C $line; end`;
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", script, ...lines], {
      cwd: test.directory,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const offered = stdout.split("\n").map((line) => line.split("\t")[0]);
    expect(offered.slice(0, -1)).toEqual([
      "list",
      "--status",
      "completed",
      "describe",
      "order.ts",
      "buffer-one",
    ]);
  });
});

describe.skipIf(!isThere("zsh"))("zsh", () => {
  it("takes the script without a word", () => {
    const script = "autoload -Uz compinit; compinit -u -D; source ./aion.zsh; print $_comps[aion]";
    const { stdout, stderr } = spawnSync("zsh", ["-f", "-c", script], {
      cwd: test.directory,
      encoding: "utf8",
    });
    expect({ stdout, stderr }).toEqual({ stdout: "_aion\n", stderr: "" });
  });

  it.skipIf(!isThere("script"))("completes what is typed on a terminal", () => {
    const typed = [
      ["aion li", "<list>"],
      ["aion list --status=comp", "<list><--status=completed>"],
      ["aion list --status comp", "<list><--status><completed>"],
      ["aion --store x desc", "<--store><x><describe>"],
      ["aion list --store sqlite:place/d", "<list><--store><sqlite:place/deep.db>"],
      ["aion schedule create n t --overlap buffer-o", "<schedule><create><n><t><--overlap><buffer-one>"],
      ["aion build or", "<build><order.ts>"],
      ["aion help rou", "<help><route>"],
    ] as const;
    const setUp =
      "PS1='' RPS1=''; setopt interactivecomments; autoload -Uz compinit; compinit -u -D; source ./aion.zsh";
    const lines = typed.map(([line]) => line);
    const said = completedOnTerminal("zsh -f -i", setUp, lines);
    expect(said).toEqual(typed.map(([, given]) => given));
  });
});

describe("the command", () => {
  it("gives the script as a document, too", async () => {
    const document = await test.json(["completion", "fish"]);
    expect(document).toEqual({
      shell: "fish",
      script: expect.stringContaining("complete -c aion -f\n") as string,
    });
  });

  it("knows three shells", async () => {
    const { exitCode, stderr } = await test.run(["completion", "ksh"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Allowed choices are bash, zsh, fish.");
  });

  it("names each command in all of the scripts", () => {
    for (const shell of shells) {
      const script = readFileSync(path.join(test.directory, `aion.${shell}`), "utf8");
      expect(commandNames.filter((name) => !new RegExp(`\\b${name}\\b`).test(script))).toEqual([]);
    }
  });
});
