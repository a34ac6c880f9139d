import type { Metafile, PluginBuild } from "esbuild";

/**
 * Libraries that all runs of a package share, evaluated once, where everything else of a package is evaluated for each run. For
 * such as are large, and keep nothing that one run could see of another: a library is put here when that was looked into, not
 * before. zod: 6 ms and 560 KB for each run otherwise; its configuration (`z.config`) is that of the whole package.
 */
const names = ["zod"];

const filter = new RegExp(`^(?:${names.map((name) => RegExp.escape(name)).join("|")})(?:/|$)`);
/** Says that it is asked by this plugin, and not to be asked again. */
const asked = Symbol("asked by realm-libraries");

/** Which files of shared libraries a bundle wants, by the names under which it imports them. */
export class SharedLibraries {
  readonly #paths = new Map<string, string>();
  /** Imported under one name, and found in two places: two versions, of which each importer needs its own. */
  readonly #split = new Set<string>();
  #isChanged = false;

  install(build: PluginBuild): void {
    build.onResolve(
      { filter },
      async ({ path: specifier, importer, resolveDir, kind, namespace, pluginData }) => {
        if (pluginData === asked || this.#split.has(specifier)) return undefined;
        const found = await build.resolve(specifier, {
          importer,
          resolveDir,
          kind,
          namespace,
          pluginData: asked,
        });
        // The bundler tells what is wrong with it.
        if (found.errors.length > 0 || found.external || found.namespace !== "file") return undefined;
        const known = this.#paths.get(specifier);
        if (known !== undefined && known !== found.path) {
          this.#split.add(specifier);
          this.#paths.delete(specifier);
          this.#isChanged = true;
          return undefined;
        }
        this.#paths.set(specifier, found.path);
        return { path: specifier, external: true, sideEffects: false };
      },
    );
  }

  /** Whether, since it was last asked, one was found that cannot be shared: what was bundled has to be bundled anew. */
  hasChanged(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  /** Those that are left after tree shaking, in the order of their names. */
  usedBy({ outputs }: Metafile): ReadonlyMap<string, string> {
    const used = Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
    return new Map(
      [...this.#paths]
        .filter(([specifier]) => used.includes(specifier))
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
}
