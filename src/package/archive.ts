/**
 * A package as one file: a zip that stores five files without compression.
 *
 * The law: what is read is, byte for byte, what is written from its contents. So two packages with the same contents have
 * the same bytes and the same hash, and whatever else a zip can hold (two files of one name, links, odd paths, extra
 * fields, comments, data before, between or after the files) is refused without a rule for each. The named checks
 * before it only give plausible cases an error of their own.
 */
import { createHash } from "node:crypto";
import { unzipSync, zipSync } from "fflate";
import type { UnzipFileInfo } from "fflate";
import { AionError, isAionError } from "../core/errors.ts";
import { packageBytesMax } from "../core/package-version.ts";
import { messageOf } from "../core/payload.ts";
import { checkSourceMap, parseManifest, parseSchemas, toJsonText } from "./manifest.ts";
import type { Manifest, Schemas } from "./manifest.ts";

export interface PackageContents {
  readonly manifest: Manifest;
  readonly schemas: Schemas;
  /** One script, whose value is `(require, module, exports, globalThis) => void`. */
  readonly script: string;
  /** A script of the same form that exports libraries which all runs share, by the names under which the other requires them; or nothing. */
  readonly libraries: string;
  /** The source map of the script, as JSON. */
  readonly sourceMap: string;
}

export interface Package extends PackageContents {
  /** SHA-256 of the archive in hexadecimal digits: its version id. */
  readonly hash: string;
}

/** In the order in which they stand in the archive; each with the most bytes that it may have. */
const files: ReadonlyMap<string, number> = new Map([
  ["manifest.json", 4 * 1024 * 1024],
  ["schemas.json", 16 * 1024 * 1024],
  ["workflow.js", Number.POSITIVE_INFINITY],
  ["workflow.js.map", Number.POSITIVE_INFINITY],
  ["libraries.js", Number.POSITIVE_INFINITY],
]);

const noArchiveHint = "Pass the file that `aion build` wrote.";

/** Errors: `package_too_large`. */
export function writeArchive(contents: PackageContents, bytesMax = packageBytesMax): Uint8Array {
  const texts: Readonly<Record<string, string>> = {
    "libraries.js": contents.libraries,
    "manifest.json": toJsonText(contents.manifest),
    "schemas.json": toJsonText(contents.schemas),
    "workflow.js": contents.script,
    "workflow.js.map": contents.sourceMap,
  };
  const encoder = new TextEncoder();
  const entries = [...files.keys()].map((name) => [name, encoder.encode(texts[name])] as const);
  for (const [name, bytes] of entries) checkFileSize(name, bytes.length, bytesMax);
  // A zip holds the local time without its zone. Made here, in the zone of now; noon of that day exists in each.
  const mtime = new Date(1980, 0, 1, 12);
  const bytes = zipSync(Object.fromEntries(entries), { level: 0, mtime });
  checkSize("the package", bytes.length, bytesMax);
  return bytes;
}

/**
 * Reads a package that came from anywhere. Sizes are checked before anything is unpacked.
 * Errors: `package_invalid`, `package_too_large`.
 */
export function readArchive(bytes: Uint8Array, bytesMax = packageBytesMax): Package {
  checkSize("the package", bytes.length, bytesMax);
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) {
    throw new AionError("package_invalid", "the file is no zip archive", { hint: noArchiveHint });
  }
  const texts = unpack(bytes, bytesMax);
  const text = (name: string): string => {
    const found = texts.get(name);
    if (found === undefined) throw new AionError("package_invalid", `the package holds no ${name}`);
    return found;
  };
  const manifest = parseManifest(text("manifest.json"));
  const contents: PackageContents = {
    manifest,
    schemas: parseSchemas(text("schemas.json"), manifest),
    script: text("workflow.js"),
    libraries: text("libraries.js"),
    sourceMap: text("workflow.js.map"),
  };
  checkSourceMap(contents.sourceMap);
  if (!isWrittenSo(contents, bytes, bytesMax)) {
    throw new AionError("package_invalid", "the package is not written as `aion build` writes it", {
      hint: "It was packed by another program, damaged, or added to. Build it again, and hand on the file as it is.",
    });
  }
  return { ...contents, hash: hashArchive(bytes) };
}

function isWrittenSo(contents: PackageContents, bytes: Uint8Array, bytesMax: number): boolean {
  try {
    return Buffer.compare(writeArchive(contents, bytesMax), bytes) === 0;
  } catch (error) {
    // JSON that can be read and is nested too deeply to be written.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The content hash: 64 hexadecimal digits. */
export function hashArchive(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function unpack(bytes: Uint8Array, bytesMax: number): ReadonlyMap<string, string> {
  const seen = new Set<string>();
  // Throws at the first entry that should not be there, however many the archive claims to have.
  const filter = ({ name, size, originalSize, compression }: UnzipFileInfo): boolean => {
    const shown = JSON.stringify(name.slice(0, 200));
    if (!files.has(name)) {
      throw new AionError("package_invalid", `the archive holds ${shown}, which is no part of a package`, {
        hint: noArchiveHint,
      });
    }
    if (seen.has(name)) throw new AionError("package_invalid", `the archive holds ${shown} twice`);
    seen.add(name);
    checkFileSize(name, originalSize, bytesMax);
    if (compression !== 0 || size !== originalSize) {
      throw new AionError("package_invalid", `${shown} is compressed; packages are stored as they are`);
    }
    return true;
  };
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const unpacked = unzipSync(bytes, { filter });
    return new Map(Object.entries(unpacked).map(([name, data]) => [name, decoder.decode(data)]));
  } catch (error) {
    if (isAionError(error)) throw error;
    throw new AionError("package_invalid", `the archive cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: "It may have been cut off on its way; build or copy it again.",
    });
  }
}

function checkFileSize(name: string, byteCount: number, bytesMax: number): void {
  checkSize(name, byteCount, Math.min(bytesMax, files.get(name) ?? bytesMax));
}

function checkSize(what: string, byteCount: number, bytesMax: number): void {
  if (byteCount <= bytesMax) return;
  throw new AionError(
    "package_too_large",
    `${what} has ${byteCount} bytes, more than the limit of ${bytesMax}`,
    { details: { byteCount, limitBytes: bytesMax } },
  );
}
