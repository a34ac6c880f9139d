import { describe, it } from "vitest";
import { describeStoreConformance } from "./conformance/suite.ts";
import { openMemoryStore } from "./memory.ts";

describeStoreConformance(
  "memory",
  {
    async open({ clock }) {
      const store = openMemoryStore({ clock });
      return { store, dispose: () => store.close() };
    },
  },
  { describe, it },
);
