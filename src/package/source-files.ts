import path from "node:path";
import type * as esbuild from "esbuild";
import { runBundler } from "./bundler.ts";
import { isInstalled } from "./import-graph.ts";

const codeEnding = /\.(?:[cm]?[jt]sx?|json)$/;

/**
 * The files of the author that a program is made of, also those that only its activities import. What cannot be found is left out;
 * `undefined`: one of them cannot be read as code.
 */
export async function findSourceFiles(entry: string): Promise<readonly string[] | undefined> {
  const root = path.dirname(entry);
  try {
    const { metafile } = await runBundler({
      entryPoints: [entry],
      absWorkingDir: root,
      bundle: true,
      write: false,
      metafile: true,
      platform: "node",
      format: "esm",
      logLevel: "silent",
      plugins: [{ name: "own-files", setup: followOwn }],
    });
    return Object.keys(metafile.inputs).map((file) => path.resolve(root, file));
  } catch {
    return undefined;
  }
}

function followOwn(build: esbuild.PluginBuild): void {
  const isAsked = Symbol("asked by this");
  build.onResolve({ filter: /./ }, async ({ path: specifier, kind, importer, resolveDir, pluginData }) => {
    if (kind === "entry-point" || pluginData === isAsked) return undefined;
    const found = await build.resolve(specifier, { kind, importer, resolveDir, pluginData: isAsked });
    const isOwn = found.errors.length === 0 && !found.external && !isInstalled(found.path);
    return isOwn ? { path: found.path, namespace: found.namespace } : { path: specifier, external: true };
  });
  build.onLoad({ filter: /./ }, ({ path: file }) =>
    codeEnding.test(file) ? undefined : { contents: "", loader: "empty" },
  );
}
