import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import path from "node:path";
import type { Loader, OnLoadResult, PluginBuild } from "esbuild";
import type { Program } from "oxc-parser";
import { readModuleScope } from "./module-scope.ts";
import type { Place } from "./problem.ts";
import { exportName, parseModule, stripModule } from "./stripped-module.ts";
import type { ApiExports, ApiName, StrippedModule } from "./stripped-module.ts";

export const workflowModule = "aion/workflow";

const workflowExports: ApiExports = new Map([
  ["activity", "activity"],
  ["step", "step"],
]);

const loaders: Readonly<Record<string, Loader>> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
};

/** Hands the bundler the modules that define activities, without their implementations. Each file is read once. */
export class ModuleLoader {
  readonly #root: string;
  readonly #stripped = new Map<string, StrippedModule>();
  readonly #steps: Place[] = [];
  readonly #loading = new Map<string, Promise<OnLoadResult | undefined>>();
  readonly #exports = new Map<string, Promise<ApiExports>>();

  constructor(root: string) {
    this.#root = root;
  }

  /** By file, relative to the root. */
  get stripped(): ReadonlyMap<string, StrippedModule> {
    return this.#stripped;
  }

  install(build: PluginBuild): void {
    build.onLoad({ filter: /\.[cm]?[jt]sx?$/, namespace: "file" }, ({ path: file }) => {
      let loading = this.#loading.get(file);
      if (loading === undefined) {
        loading = this.#load(file, build);
        this.#loading.set(file, loading);
      }
      return loading;
    });
  }

  /** Where `step` is mentioned in what the bundler kept. */
  findSteps(script: string): readonly Place[] {
    const numbers = new Set([...script.matchAll(stepMark)].map(([, number]) => Number(number)));
    return this.#steps.filter((_, index) => numbers.has(index));
  }

  relative(file: string): string {
    return path.relative(this.#root, file).split(path.sep).join("/");
  }

  async #load(file: string, build: PluginBuild): Promise<OnLoadResult | undefined> {
    const text = await readFile(file, "utf8");
    const isDirect = text.includes(workflowModule);
    // A barrel is a matter of the author's own modules.
    if (!isDirect && isInstalled(file)) return undefined;
    const shown = this.relative(file);
    const program = parseModule(file, text);
    if (program === undefined) return undefined;
    const apis = new Map<string, ApiExports>([[workflowModule, workflowExports]]);
    for (const specifier of calledModules(program)) {
      const exports = await this.#exportsOf(specifier, file, build);
      if (exports.size > 0) apis.set(specifier, exports);
    }
    if (!isDirect && apis.size === 1) return undefined;
    const stripped = stripModule({
      file: shown,
      program,
      text,
      apis,
      markStep: (place) => this.#markStep(place),
    });
    this.#stripped.set(shown, stripped);
    if (stripped.changed === undefined) return undefined;
    const { code, map } = stripped.changed;
    const url = `data:application/json;base64,${Buffer.from(map).toString("base64")}`;
    return {
      contents: `${code}\n//# sourceMappingURL=${url}\n`,
      loader: loaders[path.extname(file)] ?? "js",
      resolveDir: path.dirname(file),
    };
  }

  #markStep(place: Place): string {
    return `__aion_step_${this.#steps.push(place) - 1}__`;
  }

  /** What a module exports of `aion/workflow`, also through other modules. */
  async #exportsOf(specifier: string, importer: string, build: PluginBuild): Promise<ApiExports> {
    if (specifier === workflowModule) return workflowExports;
    if (isBuiltin(specifier)) return noExports;
    const {
      path: file,
      errors,
      namespace,
    } = await build.resolve(specifier, {
      importer,
      resolveDir: path.dirname(importer),
      kind: "import-statement",
    });
    if (errors.length > 0 || namespace !== "file" || isInstalled(file) || !(path.extname(file) in loaders)) {
      return noExports;
    }
    let reading = this.#exports.get(file);
    if (reading === undefined) {
      // A circle of barrels ends here: what comes around it adds nothing.
      this.#exports.set(file, Promise.resolve(noExports));
      reading = this.#readExports(file, build);
      this.#exports.set(file, reading);
    }
    return await reading;
  }

  async #readExports(file: string, build: PluginBuild): Promise<ApiExports> {
    const program = parseModule(file, await readFile(file, "utf8"));
    const found = new Map<string, ApiName>();
    const imported = new Map<string, { readonly specifier: string; readonly name: string }>();
    for (const statement of program?.body ?? []) {
      if (statement.type === "ImportDeclaration") {
        for (const specifier of statement.specifiers) {
          if (specifier.type !== "ImportSpecifier") continue;
          imported.set(specifier.local.name, {
            specifier: statement.source.value,
            name: exportName(specifier.imported),
          });
        }
      }
    }
    const add = async (exported: string, specifier: string, name: string): Promise<void> => {
      const api = (await this.#exportsOf(specifier, file, build)).get(name);
      if (api !== undefined) found.set(exported, api);
    };
    for (const statement of program?.body ?? []) {
      if (statement.type === "ExportAllDeclaration" && statement.exported === null) {
        const all = await this.#exportsOf(statement.source.value, file, build);
        for (const [name, api] of all) if (name !== "default") found.set(name, api);
      } else if (statement.type === "ExportNamedDeclaration") {
        for (const { local, exported } of statement.specifiers) {
          const source = statement.source?.value;
          const from =
            source === undefined
              ? imported.get(exportName(local))
              : { specifier: source, name: exportName(local) };
          if (from !== undefined) await add(exportName(exported), from.specifier, from.name);
        }
      }
    }
    return found;
  }
}

const stepMark = /__aion_step_(\d+)__/g;
const noExports: ApiExports = new Map();

function isInstalled(file: string): boolean {
  return file.split(path.sep).includes("node_modules");
}

/** The modules of which something is called, by its name or as a member. */
function calledModules(program: Program): ReadonlySet<string> {
  const sources = new Map<string, string>();
  for (const statement of program.body) {
    if (statement.type !== "ImportDeclaration" || statement.importKind === "type") continue;
    for (const { local } of statement.specifiers) sources.set(local.name, statement.source.value);
  }
  const called = new Set<string>();
  for (const { name, isType, parents } of readModuleScope(program).mentions) {
    const source = sources.get(name);
    if (source === undefined || isType || called.has(source)) continue;
    const [parent, above] = parents;
    const holder = parent?.type === "MemberExpression" ? above : parent;
    if (holder?.type === "CallExpression") called.add(source);
  }
  return called;
}
