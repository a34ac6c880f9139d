import type { EngineName } from "./engine-under-test.ts";
import type { WorkloadCase, WorkloadId } from "./workload.ts";

/** What a measuring process is asked to do. */
export interface MeasureSpec {
  readonly workload: WorkloadId;
  readonly engine: EngineName;
  readonly measuredCase: WorkloadCase;
  /** Exists and is empty. */
  readonly directory: string;
  readonly outputFile: string;
  readonly isTraced: boolean;
  readonly isQuick: boolean;
}
