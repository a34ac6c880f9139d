/** The golden histories, cut where a crash could have cut them. */
import { decodeRow } from "../../src/core/codec.ts";
import type { Event } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { runChain } from "../../src/core/run-chain.ts";
import type { RunRecord } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { goldenNames, readGolden } from "../golden/golden-file.ts";
import { overStore } from "../recovery/over-store.ts";
import type { Prefix } from "./divergence.ts";

export interface GoldenPrefix extends Prefix {
  readonly workflowType: string;
}

export function goldenPrefixes(): readonly GoldenPrefix[] {
  const prefixes: GoldenPrefix[] = [];
  for (const name of goldenNames()) {
    for (const [id, rows] of Object.entries(readGolden(name).histories)) {
      const workflowId = id as WorkflowId;
      const history: Event[] = [];
      const heads = new Set<number>();
      for (const { firstSeq, row } of rows) {
        history.push(...decodeRow(row, { workflowId, firstSeq }));
        heads.add(history.at(-1)?.seq ?? 0);
      }
      for (const { runId, status, firstSeq, lastSeq, startedAt } of runChain(history)) {
        const segment = history.filter(({ seq }) => seq >= firstSeq && seq <= lastSeq);
        const [start] = segment;
        if (start?.type !== "WorkflowStarted") throw new Error("a run begins with its start");
        const { workflowType, version } = start;
        const run: RunRecord = {
          runKey: 1,
          workflowId,
          runId,
          workflowType,
          version,
          status,
          firstSeq,
          headSeq: lastSeq,
          startedAt,
          wakeAt: null,
        };
        const store = overStore(openMemoryStore(), {
          readSegment: async (_run, from) => segment.filter(({ seq }) => seq >= from),
        });
        for (const headSeq of heads) {
          if (headSeq >= firstSeq && headSeq <= lastSeq) prefixes.push({ store, run, headSeq, workflowType });
        }
      }
    }
  }
  return prefixes;
}
