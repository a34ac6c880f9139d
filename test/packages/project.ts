/** A directory with a project to build, for each test. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import vm from "node:vm";
import { isAionError } from "../../src/core/errors.ts";
import { readArchive } from "../../src/package/archive.ts";
import type { Package } from "../../src/package/archive.ts";
import { buildPackage } from "../../src/package/build.ts";
import type { BuiltPackage } from "../../src/package/build.ts";
import type { Problem } from "../../src/package/problem.ts";

export type Files = Readonly<Record<string, string>>;

export class Project {
  readonly directory = realpathSync(mkdtempSync(path.join(tmpdir(), "aion-build-")));

  write(files: Files, root = this.directory): void {
    for (const [name, text] of Object.entries({ "package.json": "{}", ...files })) {
      const file = path.join(root, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  }

  /** The monorepo; returns its workflow file. */
  writeShop(root = this.directory): string {
    this.write(shop, root);
    mkdirSync(path.join(root, "node_modules/@acme"), { recursive: true });
    symlinkSync("../../packages/rules", path.join(root, "node_modules/@acme/rules"));
    return path.join(root, "packages/shop/src/order.ts");
  }

  async buildAt(entry: string): Promise<BuiltPackage & Package> {
    const built = await buildPackage(entry);
    return { ...built, ...readArchive(built.bytes) };
  }

  async build(files: Files, entry = "order.ts"): Promise<BuiltPackage & Package> {
    this.write(files);
    return await this.buildAt(path.join(this.directory, entry));
  }

  async problemsOf(files: Files, entry = "order.ts"): Promise<readonly Problem[]> {
    try {
      await this.build(files, entry);
    } catch (error) {
      if (!isAionError(error) || error.code !== "build_failed") throw error;
      return error.details["problems"] as readonly Problem[];
    }
    throw new Error("it was built");
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** `file:line:column text` */
export function toLines(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ text, place }) =>
    place === undefined ? text : `${place.file}:${place.line}:${place.column} ${text}`,
  );
}

/** The module of a script, made with stand-ins for the definitions that say how they were called. */
export function load(script: string): Readonly<Record<string, unknown>> {
  const define =
    (kind: string) =>
    (...args: readonly unknown[]) => ({ kind, args });
  const provided = { activity: define("activity"), workflow: define("workflow"), signal: define("signal") };
  const require = (name: string): unknown => {
    if (name === "aion/workflow") return provided;
    throw new Error(`there is no ${name}`);
  };
  const module = { exports: {} };
  const value = vm.runInNewContext(script) as unknown;
  if (typeof value !== "function") throw new Error("the value of the script is no function");
  Reflect.apply(value, undefined, [require, module, module.exports]);
  return module.exports;
}

export const start = 'import { activity, signal, query, step, update, workflow } from "aion/workflow";\n';
export const flow = 'export const fulfil = workflow("fulfil", async () => 1);\n';

export const stripe = {
  "node_modules/stripe/package.json": '{ "name": "stripe", "main": "index.js" }',
  "node_modules/stripe/index.js":
    'const http = require("http");\nmodule.exports = class Stripe { pay() { return http; } };',
};
export const money = {
  "node_modules/money/package.json": '{ "name": "money", "type": "module", "exports": "./index.js" }',
  "node_modules/money/index.js":
    'import { readFileSync } from "fs";\nexport const cents = (a) => a * 100;\nexport const rates = () => readFileSync("rates");\n',
};

/** A shop in a monorepo: a workspace beside it, paths of tsconfig, JSON, an npm package. */
export const shop = {
  "package.json": '{ "workspaces": ["packages/*"] }',
  "packages/shop/package.json": '{ "name": "shop", "type": "module" }',
  "packages/shop/tsconfig.json":
    '{ "compilerOptions": { "paths": { "#model/*": ["./src/model/*"] }, "verbatimModuleSyntax": true } }',
  "packages/shop/src/order.ts": `${start}
import { cents } from "money";
import Stripe from "stripe";
import { limit } from "@acme/rules";
import { Size } from "#model/size.ts";
import texts from "./texts.json" with { type: "json" };
const client = new Stripe("SECRET");
export const charge = activity("charge", { retry: {} }, async (amount: number) => client.pay(amount));
export const fulfil = workflow("fulfil", async (amount: number) => {
  if (cents(amount) > limit || Size.Large > 3) throw new Error(texts.tooMuch);
  return await charge(amount);
});
`,
  "packages/shop/src/texts.json": '{ "tooMuch": "größer als erlaubt" }',
  "packages/shop/src/model/size.ts": "export enum Size { Small, Large }\n",
  "packages/rules/package.json": '{ "name": "@acme/rules", "type": "module", "exports": "./src/index.ts" }',
  "packages/rules/src/index.ts": 'export { limit } from "./limit.js";\n',
  "packages/rules/src/limit.ts": "export const limit: number = 5_000;\n",
  ...stripe,
  ...money,
};
