import { AionError, isAionError } from "../core/errors.ts";
import { isPackageVersion, packageBytesMax } from "../core/package-version.ts";
import type { Ports } from "../core/ports.ts";
import type { PackageCode, PackageContents } from "../program/border.ts";
import type { Program, ProgramSource } from "../program/program.ts";
import type { CatalogReply, OwnerToken, RouteRecord, Store } from "../store/contract.ts";
import { toAionError } from "./to-aion-error.ts";

/** Takes packages apart and runs their code; handed in. */
export interface PackageLoader {
  /** Checks an archive. Errors: `package_invalid`, `package_too_large`. */
  read(archive: Uint8Array): Promise<PackageCode>;
  /** Errors: `package_failed`, `package_stopped`. */
  load(code: PackageCode): Promise<PackageContents>;
  unload(version: string): void;
  program(workflowType: string, version: string): Program;
}

export interface CatalogOptions {
  readonly store: Store;
  readonly token: OwnerToken;
  readonly ports: Ports;
  /** Code that was handed in as functions. */
  readonly inline: ProgramSource;
  readonly loader: PackageLoader;
  /** Of an archive that is deployed; what is deployed already is not asked. Default: `packageBytesMax`. */
  readonly packageLimitBytes?: number;
}

/**
 * The code that an engine has: inline definitions, and the packages of its store with their routes.
 *
 * Laws: a package is on disk before anybody sees it. A run has the version that it was begun with, and no other; a version that is
 * not there makes it wait. New runs of a type get the version that its route names, or else the inline definition. One
 * package that cannot be loaded hurts its own runs alone.
 */
export class Catalog implements ProgramSource {
  readonly #of: CatalogOptions;
  readonly #programs = new Map<string, ReadonlyMap<string, Program>>();
  readonly #routes = new Map<string, string>();

  private constructor(of: CatalogOptions) {
    this.#of = of;
  }

  static async open(options: CatalogOptions): Promise<Catalog> {
    const catalog = new Catalog(options);
    const { packages, routes } = await options.store.readCatalog();
    await Promise.all(packages.map(({ version }) => catalog.#loadStored(version)));
    catalog.#follow(routes);
    return catalog;
  }

  route(workflowType: string): Program | undefined {
    const version = this.#routes.get(workflowType);
    // A package that is routed and cannot be loaded is missing: another version would not do for it.
    return version === undefined
      ? this.#of.inline.route(workflowType)
      : this.#programs.get(version)?.get(workflowType);
  }

  find(workflowType: string, version: string): Program | undefined {
    if (isPackageVersion(version)) return this.#programs.get(version)?.get(workflowType);
    return this.#of.inline.find(workflowType, version);
  }

  get workflowTypes(): readonly string[] {
    return [...new Set([...this.#of.inline.workflowTypes, ...this.#routes.keys()])];
  }

  /**
   * Puts a package on disk and, with `isRouted`, gives it all new runs of its types. Errors: `package_invalid`,
   * `package_too_large`, `package_failed`, `package_stopped`, those of the store. Deploying it again changes nothing but routes.
   */
  async deploy(
    archive: Uint8Array,
    isRouted: boolean,
    requestId: string | undefined,
  ): Promise<{
    readonly version: string;
    readonly workflowTypes: readonly string[];
    readonly isNew: boolean;
  }> {
    const { store, token, ports, loader, packageLimitBytes = packageBytesMax } = this.#of;
    if (archive.byteLength > packageLimitBytes) {
      throw new AionError(
        "package_too_large",
        `the package has ${archive.byteLength} bytes, more than the limit of ${packageLimitBytes}`,
        { details: { byteCount: archive.byteLength, limitBytes: packageLimitBytes } },
      );
    }
    const code = await loader.read(archive);
    const { version } = code;
    const present = this.#programs.get(version);
    const programs = present ?? (await this.#load(code));
    const workflowTypes = [...programs.keys()];
    let reply: CatalogReply;
    try {
      reply = await store.changeCatalog(token, {
        kind: "deploy",
        ...toRequest(requestId),
        version,
        archive,
        workflowTypes,
        deployedAt: ports.clock.now(),
        route: isRouted ? workflowTypes : [],
      });
    } catch (error) {
      if (present === undefined) loader.unload(version);
      throw error;
    }
    const { isRepeated, isNew } = reply;
    if (isRepeated) this.#repeated("deploy");
    // It may have been unloaded since it was asked for the first time.
    if (isRepeated && present === undefined) loader.unload(version);
    else this.#programs.set(version, programs);
    await this.#readRoutes();
    return { version, workflowTypes, isNew };
  }

  /** Errors: `package_not_found`, `workflow_type_unknown`, those of the store. */
  async setRoute(
    workflowTypes: readonly string[],
    version: string,
    requestId: string | undefined,
  ): Promise<void> {
    const { store, token, ports } = this.#of;
    const { isRepeated } = await store.changeCatalog(token, {
      kind: "route",
      ...toRequest(requestId),
      workflowTypes,
      version,
      routedAt: ports.clock.now(),
    });
    if (isRepeated) this.#repeated("route");
    await this.#readRoutes();
  }

  /** Errors: `package_not_found`, `package_in_use` (it says by what), those of the store. */
  async unload(version: string, requestId: string | undefined): Promise<void> {
    const { store, token, loader } = this.#of;
    const { isRepeated } = await store.changeCatalog(token, {
      kind: "unload",
      ...toRequest(requestId),
      version,
    });
    if (isRepeated) {
      this.#repeated("unload");
      return;
    }
    this.#programs.delete(version);
    loader.unload(version);
  }

  /** Packages whose code is loaded. */
  get size(): number {
    return this.#programs.size;
  }

  #repeated(operation: string): void {
    this.#of.ports.meter?.counter("aion_repeats_answered_total").add(1, operation);
  }

  async #loadStored(version: string): Promise<void> {
    const { store, ports, loader } = this.#of;
    try {
      const archive = await store.readPackage(version);
      if (archive === undefined) throw new AionError("package_not_found", `package ${version} is not there`);
      this.#programs.set(version, await this.#load(await loader.read(archive)));
    } catch (error) {
      // A store that cannot be read at all is another matter.
      if (!isAionError(error) || error.code === "store_unavailable") throw error;
      const { code, message } = toAionError(error);
      ports.log("error", "a package cannot be loaded; its runs wait", { version, code, error: message });
    }
  }

  async #load(code: PackageCode): Promise<ReadonlyMap<string, Program>> {
    const { loader } = this.#of;
    const { workflows } = await loader.load(code);
    return new Map(
      workflows.map(({ workflowType }) => [workflowType, loader.program(workflowType, code.version)]),
    );
  }

  async #readRoutes(): Promise<void> {
    this.#follow((await this.#of.store.readCatalog()).routes);
  }

  #follow(routes: readonly RouteRecord[]): void {
    for (const { workflowType, version } of routes) this.#routes.set(workflowType, version);
  }
}

function toRequest(requestId: string | undefined): { readonly requestId?: string } {
  return requestId === undefined ? {} : { requestId };
}
