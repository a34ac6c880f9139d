import path from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { Option } from "commander";
import { AionError } from "../core/errors.ts";
import { Output, style } from "./output.ts";
import { printable } from "./printable.ts";
import { createProject, packageRoot, templateNames, templates } from "./project.ts";
import type { Project, TemplateName } from "./project.ts";

/** The command that begins a project: init. It needs no store. */
export function addInitCommand(program: Command): void {
  program
    .command("init")
    .description("Begins a project that runs, with tests. Replaces nothing.")
    .argument("[dir]", "the directory, made if it is not there; by default this one")
    .addOption(new Option("--template <name>", "what it begins as").choices(templateNames))
    .addHelpText(
      "after",
      `\nTemplates:\n${templateNames.map((name) => `  ${name.padEnd(nameWidth)}${templates[name]}`).join("\n")}`,
    )
    .action(init);
}

const nameWidth = Math.max(...templateNames.map((name) => name.length)) + 2;

async function init(
  dir: string | undefined,
  { template }: { readonly template?: TemplateName },
  command: Command,
): Promise<void> {
  const output = new Output({ isJson: command.optsWithGlobals<{ readonly json?: boolean }>().json === true });
  const isAsking = template === undefined && !output.isJson && process.stdin.isTTY && process.stdout.isTTY;
  const chosen = template ?? (isAsking ? await askForTemplate() : defaultTemplate);
  const project = createProject(path.resolve(dir ?? "."), chosen);
  const next = nextCommands(project);
  if (output.isJson) {
    output.json("init", { ...project, next });
    return;
  }
  for (const line of describeProject(project, next)) output.line(line);
  if (template === undefined && !isAsking) {
    const others = templateNames.filter((name) => name !== chosen).join(", ");
    output.note(`this is the template ${chosen}; there are others: --template ${others}`);
  }
}

const defaultTemplate: TemplateName = "order";

async function askForTemplate(): Promise<TemplateName> {
  for (const [index, name] of templateNames.entries())
    process.stdout.write(`  ${index + 1}  ${style("bold", name.padEnd(nameWidth))}${templates[name]}\n`);
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: "Which template? [1] ",
  });
  try {
    terminal.prompt();
    for await (const line of terminal) {
      const text = line.trim().toLowerCase();
      const found = text === "" ? defaultTemplate : (templateNames[Number(text) - 1] ?? findTemplate(text));
      if (found !== undefined) return found;
      process.stdout.write(`Say a number from 1 to ${templateNames.length}, or a name.\n`);
      terminal.prompt();
    }
  } finally {
    terminal.close();
  }
  // Ctrl-C, or the end of the input.
  process.stdout.write("\n");
  throw new AionError("invalid_argument", "no template was chosen, and nothing was written", {
    hint: `Choose one with --template: ${templateNames.join(", ")}.`,
  });
}

function findTemplate(text: string): TemplateName | undefined {
  return templateNames.find((name) => name === text);
}

/** What to type now. Each of them works as it is, one after the other. */
function nextCommands({ directory }: Project): readonly string[] {
  const from = process.cwd();
  // Then the project gets this very copy of Aion, as it was built last.
  const isSource = import.meta.filename.endsWith(".ts");
  return [
    ...(isSource ? [`npm run build --prefix ${quoted(packageRoot)}`] : []),
    ...(directory === from ? [] : [`cd ${quoted(shortest(directory, from))}`]),
    "npm install",
    "npm test",
    "npm start",
  ];
}

function shortest(directory: string, from: string): string {
  const relative = path.relative(from, directory);
  return relative.length < directory.length ? relative : directory;
}

function quoted(text: string): string {
  return /^[\w./~@%+=:,-]+$/.test(text) && !text.startsWith("-")
    ? text
    : `'${text.replaceAll("'", `'\\''`)}'`;
}

function describeProject(
  { directory, name, template, files }: Project,
  next: readonly string[],
): readonly string[] {
  return [
    `${style("bold", printable(name))}, from the template ${template}, in ${printable(directory)}:`,
    ...files.map((file) => `  ${file}`),
    "",
    "Next:",
    ...next.map((line) => `  ${style("cyan", printable(line))}`),
  ];
}
