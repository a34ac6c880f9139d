/** A realm as the engine makes it, with the platform in it and a run that is all the test's. */
import path from "node:path";
import vm from "node:vm";
import { buildSync } from "esbuild";
import type { PlatformPort } from "../../src/guest/platform/platform.ts";
import { parseUrlParts } from "../../src/program/url-parts.ts";

const root = path.dirname(path.dirname(import.meta.dirname));
const useStrict = '"use strict";';
const bundles = new Map<string, string>();

/**
 * The source of an expression: a function of the module's own `globalThis`, which gives what `source` exports. Built as
 * packages are: strict, with `global` for `globalThis`, and as production.
 */
export function bundle(source: string): string {
  const known = bundles.get(source);
  if (known !== undefined) return known;
  const built = buildSync({
    stdin: { contents: source, resolveDir: root, loader: "ts" },
    bundle: true,
    write: false,
    format: "iife",
    globalName: "exported",
    target: "es2024",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["import", "default"],
    // Nothing of it becomes a global.
    banner: { js: `(function (globalThis) { ${useStrict}` },
    define: { global: "globalThis", "process.env.NODE_ENV": '"production"' },
    footer: { js: "return exported; })" },
    logLevel: "error",
  });
  const text = built.outputFiles[0]?.text ?? "";
  bundles.set(source, text);
  return text;
}

const platformSource = 'export * from "./src/guest/platform/platform.ts";';

export interface TestRun extends PlatformPort {
  time: number;
  readonly logged: string[];
  readonly timers: { readonly atMs: number; readonly fire: () => void }[];
}

export function createRun(seed = 1): TestRun {
  let state = seed;
  let uuids = 0;
  const run: TestRun = {
    time: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    logged: [],
    timers: [],
    now: () => run.time,
    random: () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return state / 0x8000_0000;
    },
    uuid: () => `00000000-0000-4000-8000-${String(++uuids).padStart(12, "0")}`,
    startTimer(durationMs, fire) {
      const timer = { atMs: run.time + durationMs, fire };
      run.timers.push(timer);
      return () => {
        const index = run.timers.indexOf(timer);
        if (index >= 0) run.timers.splice(index, 1);
      };
    },
    log: (level, message) => void run.logged.push(`${level}: ${message}`),
    parseUrl: parseUrlParts,
  };
  return run;
}

interface LeakInstance {
  leave(): void;
  find(): unknown;
}

export class TestRealm {
  readonly #context: vm.Context;
  run: TestRun;
  /** Tests may have it throw. */
  port: () => PlatformPort = () => this.run;

  constructor(
    options: {
      readonly isFrozen?: boolean;
      readonly isStrict?: boolean;
      readonly run?: TestRun;
      /** Run before the freeze. */
      readonly before?: string;
    } = {},
  ) {
    this.run = options.run ?? createRun();
    this.#context = vm.createContext(vm.constants.DONT_CONTEXTIFY, {
      microtaskMode: "afterEvaluate",
      codeGeneration: { strings: false, wasm: false },
    });
    const script = bundle(platformSource).replace(useStrict, options.isStrict === false ? "" : useStrict);
    const platform = this.#evaluate(`${script}(globalThis)`) as {
      installPlatform: (global: object, port: () => PlatformPort) => void;
      freezeRealm: (global: object) => void;
      findRemedy: (error: unknown) => string | undefined;
      createModuleGlobal: (global: object) => object;
    };
    platform.installPlatform(this.global, () => this.port());
    if (options.before !== undefined) this.#evaluate(options.before);
    if (options.isFrozen ?? true) platform.freezeRealm(this.global);
    this.findRemedy = platform.findRemedy;
    this.#createModuleGlobal = () => platform.createModuleGlobal(this.global);
  }

  readonly #createModuleGlobal: () => object;
  readonly findRemedy: (error: unknown) => string | undefined;

  get global(): object {
    return this.#evaluate("globalThis") as object;
  }

  #evaluate(source: string): unknown {
    return vm.runInContext(source, this.#context, { filename: "realm.js" });
  }

  /** The value of an expression, or of a function body that returns; as text of JSON where it is an object. */
  evaluate(source: string): unknown {
    const value = this.#evaluate(`(() => { "use strict"; ${toBody(source)} })()`);
    return typeof value === "object" && value !== null ? JSON.parse(JSON.stringify(value)) : value;
  }

  /** Calls with two instances of a module: the value of one expression, called twice. */
  instantiateTwice<T>(source: string, use: (first: LeakInstance, second: LeakInstance) => T): T {
    const instantiate = this.#evaluate(source) as () => LeakInstance;
    return use(instantiate(), instantiate());
  }

  /** Moves time on to the next timer and fires it; whether there was one. */
  fireNext(): boolean {
    const next = this.run.timers.toSorted((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined) return false;
    this.run.timers.splice(this.run.timers.indexOf(next), 1);
    this.run.time = Math.max(this.run.time, next.atMs);
    next.fire();
    // Microtasks of the realm run when an evaluation ends.
    this.#evaluate("undefined");
    return true;
  }

  /** The value of an expression about `module`, which is bundled from `source`; as text of JSON where it is an object. */
  evaluateWith(source: string, expression: string): unknown {
    const use = this.#evaluate(`(globalThis) => {
      "use strict";
      const module = (${bundle(source)})(globalThis);
      const value = (${expression});
      return typeof value === "object" ? JSON.stringify(value) : value;
    }`) as (global: object) => unknown;
    const value = use(this.#createModuleGlobal());
    return typeof value === "string" && /^[[{]/.test(value) ? JSON.parse(value) : value;
  }
}

function toBody(source: string): string {
  return /\breturn\b|;/.test(source) ? source : `return (${source});`;
}
