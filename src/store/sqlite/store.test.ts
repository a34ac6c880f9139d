import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "vitest";
import { describeStoreConformance } from "../conformance/suite.ts";
import type { StoreBackend } from "../conformance/world.ts";
import { openSqliteStore } from "./store.ts";

function onFile(writer: "auto" | "thread" | "inline"): StoreBackend {
  return {
    async open({ clock }) {
      const directory = mkdtempSync(join(tmpdir(), "aion-store-"));
      const path = join(directory, "store.db");
      const store = openSqliteStore({ path, clock, writer });
      return {
        store,
        reopen: async () => openSqliteStore({ path, clock, readOnly: true }),
        async dispose() {
          await store.close();
          rmSync(directory, { recursive: true });
        },
      };
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
