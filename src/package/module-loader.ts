import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import path from "node:path";
import type { Loader, OnLoadResult, PluginBuild } from "esbuild";
import { Visitor } from "oxc-parser";
import type { Node, Program } from "oxc-parser";
import { isInstalled } from "./import-graph.ts";
import type { ModulePlaces } from "./import-graph.ts";
import { readModuleScope } from "./module-scope.ts";
import { placeIn } from "./problem.ts";
import type { Place } from "./problem.ts";
import { exportName, parseModule, requiredBy, stripModule } from "./stripped-module.ts";
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
export class ModuleLoader implements ModulePlaces {
  readonly #root: string;
  readonly #stripped = new Map<string, StrippedModule>();
  readonly #steps: Place[] = [];
  readonly #loading = new Map<string, Promise<OnLoadResult | undefined>>();
  readonly #libraries = new Map<string, boolean>();
  readonly #exports = new Map<string, ApiExports>([[workflowModule, workflowExports]]);

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

  placeOfNeed(file: string, specifier: string): Place | undefined {
    return this.#stripped.get(file)?.neededBy.get(specifier);
  }

  placeOfImport(file: string, specifier: string): Place | undefined {
    const absolute = path.resolve(this.#root, file);
    const text = readFileSync(absolute, "utf8");
    const program = parseModule(absolute, text);
    if (program === undefined) return undefined;
    let found: Place | undefined;
    const see = (node: Node | null | undefined): void => {
      if (node?.type !== "Literal" || node.value !== specifier) return;
      found ??= placeIn(file, text, node.start, node.end);
    };
    new Visitor({
      ImportDeclaration: (node) => see(node.source),
      ExportNamedDeclaration: (node) => see(node.source),
      ExportAllDeclaration: (node) => see(node.source),
      ImportExpression: (node) => see(node.source),
      CallExpression: (node) => see(requiredBy(node) === undefined ? undefined : node.arguments[0]),
      TSExternalModuleReference: (node) => see(node.expression),
    }).visit(program);
    return found;
  }

  relative(file: string): string {
    return path.relative(this.#root, file).split(path.sep).join("/");
  }

  /** A library that defines activities says in its package.json that it needs Aion; the others are not looked into. */
  #needsAion(file: string): boolean {
    const parts = file.split(path.sep);
    const at = parts.lastIndexOf("node_modules");
    if (at < 0) return true;
    const length = parts[at + 1]?.startsWith("@") === true ? 3 : 2;
    const manifest = [...parts.slice(0, at + length), "package.json"].join(path.sep);
    let needs = this.#libraries.get(manifest);
    if (needs === undefined) {
      needs = existsSync(manifest) && readFileSync(manifest, "utf8").includes('"aion"');
      this.#libraries.set(manifest, needs);
    }
    return needs;
  }

  async #load(file: string, build: PluginBuild): Promise<OnLoadResult | undefined> {
    if (!this.#needsAion(file)) return undefined;
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
    const file = await this.#resolve(specifier, importer, build);
    if (file === undefined) return noExports;
    if (!this.#exports.has(file)) await this.#readExports(file, build);
    return this.#exports.get(file) ?? noExports;
  }

  /**
   * Settles what a module exports, and each that it exports from. They may do so in circles: what comes through is handed
   * on until nothing more comes.
   */
  async #readExports(first: string, build: PluginBuild): Promise<void> {
    const barrels = new Map<string, Barrel>();
    const queue = [first];
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      if (barrels.has(file) || this.#exports.has(file)) continue;
      const barrel = await this.#readBarrel(file, build);
      barrels.set(file, barrel);
      queue.push(...barrel.map(({ target }) => target));
    }
    const found = new Map<string, Map<string, ApiName>>([...barrels.keys()].map((file) => [file, new Map()]));
    for (let isSettled = false; !isSettled;) {
      isSettled = true;
      for (const [file, barrel] of barrels) {
        const own = found.get(file);
        const before = own?.size;
        for (const { target, name, exported } of barrel) {
          for (const [known, api] of found.get(target) ?? this.#exports.get(target) ?? noExports) {
            if (name === undefined && known !== "default") own?.set(known, api);
            else if (name === known) own?.set(exported ?? known, api);
          }
        }
        if (own?.size !== before) isSettled = false;
      }
    }
    for (const [file, exports] of found) this.#exports.set(file, exports);
  }

  async #readBarrel(file: string, build: PluginBuild): Promise<Barrel> {
    const body = parseModule(file, await readFile(file, "utf8"))?.body ?? [];
    const imported = new Map<string, { readonly specifier: string; readonly name: string }>();
    for (const statement of body) {
      if (statement.type !== "ImportDeclaration") continue;
      for (const specifier of statement.specifiers) {
        if (specifier.type !== "ImportSpecifier") continue;
        imported.set(specifier.local.name, {
          specifier: statement.source.value,
          name: exportName(specifier.imported),
        });
      }
    }
    const barrel: Passage[] = [];
    const add = async (specifier: string, names: Omit<Passage, "target">): Promise<void> => {
      const target = await this.#resolve(specifier, file, build);
      if (target !== undefined) barrel.push({ target, ...names });
    };
    for (const statement of body) {
      if (statement.type === "ExportAllDeclaration" && statement.exported === null) {
        await add(statement.source.value, { name: undefined, exported: undefined });
      } else if (statement.type === "ExportNamedDeclaration") {
        const { declaration } = statement;
        for (const { id, init } of declaration?.type === "VariableDeclaration"
          ? declaration.declarations
          : []) {
          const from = init?.type === "Identifier" ? imported.get(init.name) : undefined;
          if (from === undefined || id.type !== "Identifier") continue;
          await add(from.specifier, { name: from.name, exported: id.name });
        }
        for (const { local, exported } of statement.specifiers) {
          const name = exportName(local);
          const from =
            statement.source === null ? imported.get(name) : { specifier: statement.source.value, name };
          if (from !== undefined) {
            await add(from.specifier, { name: from.name, exported: exportName(exported) });
          }
        }
      }
    }
    return barrel;
  }

  /** A module of the author, or `aion/workflow`. */
  async #resolve(specifier: string, importer: string, build: PluginBuild): Promise<string | undefined> {
    if (specifier === workflowModule) return specifier;
    if (isBuiltin(specifier)) return undefined;
    const {
      path: file,
      errors,
      namespace,
    } = await build.resolve(specifier, {
      importer,
      resolveDir: path.dirname(importer),
      kind: "import-statement",
    });
    const isOwn = errors.length === 0 && namespace === "file" && !isInstalled(file);
    return isOwn && path.extname(file) in loaders ? file : undefined;
  }
}

/** An export that comes from another module: one, or all of them. */
interface Passage {
  readonly target: string;
  readonly name: string | undefined;
  readonly exported: string | undefined;
}

type Barrel = readonly Passage[];

const stepMark = /__aion_step_(\d+)__/g;
const noExports: ApiExports = new Map();

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
