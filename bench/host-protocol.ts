/** Messages between a crash workload and the process that it kills. */
export type HostRequest =
  | { readonly type: "sequence"; readonly id: string; readonly steps: number }
  | { readonly type: "sleepers"; readonly count: number; readonly inFlight: number }
  | { readonly type: "longHistory"; readonly id: string; readonly events: number };

export type HostReport =
  | { readonly type: "opened" }
  | { readonly type: "firstStep" }
  | { readonly type: "ready" }
  | { readonly type: "sequenceStarted" }
  | { readonly type: "sleepersStarted"; readonly seconds: number }
  | { readonly type: "longHistoryBuilt"; readonly events: number }
  | { readonly type: "failed"; readonly message: string };

export interface HostSpec {
  readonly engine: "aion" | "dbos";
  readonly directory: string;
  readonly killAtStep: number | undefined;
  readonly probe: boolean;
}
