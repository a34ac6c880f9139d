import * as esbuild from "esbuild";
import type { BuildFailure, BuildOptions, BuildResult } from "esbuild";

const bundle = esbuild.build as <Options extends BuildOptions>(
  options: Options,
) => Promise<BuildResult<Options>>;

/**
 * The bundler is a process of its own. When that has ended (killed, out of memory), esbuild goes on to ask it: another one is started here.
 * Error: a `BuildFailure`.
 */
export async function runBundler<const Options extends BuildOptions>(
  options: Options,
): Promise<BuildResult<Options>> {
  try {
    return await bundle(options);
  } catch (error) {
    if (isBuildFailure(error)) throw error;
    await esbuild.stop();
    return await bundle(options);
  }
}

export function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}
