import { assert } from "../core/errors.ts";
import type { AionError } from "../core/errors.ts";
import type { PackageLoader } from "../engine/catalog.ts";
import type { HostEnd } from "../host/code-host.ts";
import { CodeHost } from "../host/code-host.ts";
import { guestScript } from "../host/guest-script.ts";
import { processLine } from "../host/process-line.ts";
import type { PackageCode, PackageContents } from "../program/border.ts";
import type { Program } from "../program/program.ts";

export interface PackageLimits {
  /** How long one activation of packaged code may take, in milliseconds, before the process that runs it is ended. */
  readonly activationBudgetMs: number;
  /** The heap of that process, in MiB. */
  readonly memoryMb: number;
  /** Where files can be made. Default: that for temporary ones. */
  readonly directory?: string;
}

/** Packages in a process beside the engine's, which is started for the first one. */
export class ProcessLoader implements PackageLoader {
  readonly #limits: PackageLimits;
  readonly #onEnded: (end: HostEnd, error: AionError) => void;
  #host: Promise<CodeHost> | undefined;
  #openHost: CodeHost | undefined;

  /** `onEnded`: the process ended that was not told to. */
  constructor(limits: PackageLimits, onEnded: (end: HostEnd, error: AionError) => void) {
    this.#limits = limits;
    this.#onEnded = onEnded;
  }

  async read(archive: Uint8Array): Promise<PackageCode> {
    // An engine without packages needs neither zip nor schemas.
    const { readArchive } = await import("../package/archive.ts");
    const { hash, script, sourceMap, libraries } = readArchive(archive);
    return { version: hash, script, sourceMap, ...(libraries === "" ? {} : { libraries }) };
  }

  async load(code: PackageCode): Promise<PackageContents> {
    this.#host ??= this.#open();
    return await (await this.#host).load(code);
  }

  unload(version: string): void {
    this.#openHost?.unload(version);
  }

  program(workflowType: string, version: string): Program {
    assert(this.#openHost, "a program is of a package that was loaded");
    return this.#openHost.program(workflowType, version);
  }

  async close(): Promise<void> {
    await (await this.#host)?.close();
  }

  async #open(): Promise<CodeHost> {
    const { activationBudgetMs: budgetMs, ...limits } = this.#limits;
    const line = processLine({ guest: await guestScript(), budgetMs, ...limits });
    this.#openHost = new CodeHost(line, this.#onEnded);
    return this.#openHost;
  }
}
