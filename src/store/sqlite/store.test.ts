import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "vitest";
import type { Clock } from "../../core/ports.ts";
import { describeStoreConformance } from "../conformance/suite.ts";
import type { OpenedStore, StoreBackend } from "../conformance/world.ts";
import { openSqliteStore } from "./store.ts";

interface OpenedFile extends OpenedStore {
  readonly path: string;
  readonly clock: Clock;
}

function onFile(writer: "auto" | "thread" | "inline"): StoreBackend<OpenedFile> {
  return {
    async open({ clock }) {
      const directory = mkdtempSync(join(tmpdir(), "aion-store-"));
      const path = join(directory, "store.db");
      const store = openSqliteStore({ path, clock, writer });
      return {
        store,
        path,
        clock,
        async dispose() {
          await store.close();
          rmSync(directory, { recursive: true });
        },
      };
    },
    async reopen({ path, clock }) {
      return openSqliteStore({ path, clock, writer });
    },
    async damage({ path }, { run, seq }) {
      const database = new DatabaseSync(path, { timeout: 5_000 });
      database
        .prepare(
          "UPDATE events SET row = replace(row, 'second', 'sEcond') WHERE run_key = ? AND first_seq = ?",
        )
        .run(run.runKey, seq);
      database.close();
    },
  };
}

describeStoreConformance("sqlite", onFile("auto"), { describe, it });
describeStoreConformance("sqlite, writer thread", onFile("thread"), { describe, it });
describeStoreConformance("sqlite, inline", onFile("inline"), { describe, it });
describeStoreConformance(
  "sqlite, in memory",
  {
    async open({ clock }) {
      const store = openSqliteStore({ path: ":memory:", clock });
      return { store, dispose: () => store.close() };
    },
  },
  { describe, it },
);
