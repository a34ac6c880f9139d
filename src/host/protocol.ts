import type { LogLevel } from "../core/ports.ts";

/** What a code host is asked for, in this order. Texts are JSON, as of `Guest` (border.ts). */
export type HostRequest =
  | {
      readonly kind: "load";
      readonly call: number;
      readonly version: string;
      readonly script: string;
      readonly sourceMap?: string;
      readonly libraries?: string;
    }
  | { readonly kind: "unload"; readonly version: string }
  | {
      readonly kind: "create";
      readonly instance: number;
      readonly version: string;
      readonly workflowType: string;
      readonly init: string;
    }
  | { readonly kind: "begin"; readonly instance: number; readonly activation: string }
  | { readonly kind: "dispose"; readonly instance: number }
  | {
      readonly kind: "query" | "parse-instance-signal";
      readonly call: number;
      readonly instance: number;
      readonly name: string;
      readonly payload: string;
    }
  | {
      readonly kind: "parse-instance-result";
      readonly call: number;
      readonly instance: number;
      readonly ordinal: number;
      readonly payload: string;
    }
  | {
      readonly kind: "parse-input";
      readonly call: number;
      readonly version: string;
      readonly workflowType: string;
      readonly payload: string;
    }
  | {
      readonly kind: "parse-signal";
      readonly call: number;
      readonly version: string;
      readonly workflowType: string;
      readonly name: string;
      readonly payload: string;
    };

export type HostReply =
  /** The code of an instance can move no further: `Answer<EncodedTurn>`. */
  | { readonly kind: "turn"; readonly instance: number; readonly answer: string }
  | { readonly kind: "answer"; readonly call: number; readonly answer: string }
  | { readonly kind: "stray"; readonly instance: number; readonly error: string }
  | {
      readonly kind: "log";
      readonly instance: number;
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: string | undefined;
    };

/** The first that a host in a process of its own is told. */
export interface HostGreeting {
  readonly guest: string;
  /** How long one activation may take. */
  readonly budgetMs: number;
}

/** A file whose beginning says how often such a process has been busy, and with what (`RealmHostOptions.busy`): 32 bits each, written before it is. */
export const busyFd = 4;

/** Behind that: the count of then, and where the code was when it moved no further for most of its budget: a text that zeros fill up. */
export const busyPlace = { at: 8, bytes: 512 } as const;
