/**
 * An append-only file of JSON lines: the memory of the payment service and of the approval desk.
 *
 * Owner: the one process that holds the service's lock (single-instance.ts).
 * Law: an entry whose `append` resolved is on disk, and is read back by every later `open`.
 * 1. Entries keep the order of their `append` calls.
 * 2. Entries that arrive while an fsync runs share the next one.
 * 3. A torn last line was never acknowledged: `open` cuts it off. Damage anywhere else is refused, not repaired.
 * 4. After a failed write nothing more is accepted: what the file holds is then known only to the next `open`.
 */
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";

const NEWLINE = 0x0a;

interface Pending {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

export class Journal<Entry> {
  readonly path: string;
  /** What the file held when it was opened. */
  readonly recovered: readonly Entry[];
  /** Bytes of a torn last line that were cut off. */
  readonly tornBytes: number;
  readonly #file: FileHandle;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  #syncCount = 0;

  private constructor(
    path: string,
    file: FileHandle,
    found: { entries: readonly Entry[]; tornBytes: number },
  ) {
    this.path = path;
    this.#file = file;
    this.recovered = found.entries;
    this.tornBytes = found.tornBytes;
  }

  static async open<Entry>(path: string, parse: (value: unknown) => Entry): Promise<Journal<Entry>> {
    const directory = dirname(path);
    await mkdir(directory, { recursive: true });
    const file = await open(path, "a+", 0o600);
    try {
      const bytes = await file.readFile();
      const soundLength = bytes.lastIndexOf(NEWLINE) + 1;
      const entries = bytes
        .toString("utf8", 0, soundLength)
        .split("\n")
        .slice(0, -1)
        .map((line, index) => parseLine({ line, lineNumber: index + 1, path }, parse));
      if (soundLength < bytes.length) await file.truncate(soundLength);
      await file.sync();
      await syncDirectory(directory);
      return new Journal(path, file, { entries, tornBytes: bytes.length - soundLength });
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  get syncCount(): number {
    return this.#syncCount;
  }

  append(entry: Entry): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending.push({ line: `${JSON.stringify(entry)}\n`, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    this.#failure ??= new Error(`${this.path} is closed`);
    await this.#file.close();
  }

  async #writeAll(): Promise<void> {
    // Yielding once lets everything that arrives in this turn share the first fsync too.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        await this.#file.appendFile(batch.map(({ line }) => line).join(""));
        await this.#file.datasync();
        this.#syncCount += 1;
        for (const { resolve } of batch) resolve();
      } catch (cause) {
        this.#failure = new Error(`cannot write ${this.path}`, { cause });
        for (const { reject } of [...batch, ...this.#pending]) reject(this.#failure);
        this.#pending = [];
      }
    }
    this.#writing = undefined;
  }
}

function parseLine<Entry>(
  at: { readonly line: string; readonly lineNumber: number; readonly path: string },
  parse: (value: unknown) => Entry,
): Entry {
  try {
    return parse(JSON.parse(at.line));
  } catch (cause) {
    throw new Error(`${at.path} is damaged in line ${at.lineNumber}: ${at.line.slice(0, 80)}`, { cause });
  }
}

/** A new file's name is durable only once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
