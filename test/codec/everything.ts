/** Workflows that send data through every way that there is, each with a word of its own that can be looked for. */
import { z } from "zod";
import {
  ApplicationFailure,
  activity,
  child,
  continueAsNew,
  expose,
  log,
  query,
  receive,
  sideEffect,
  signal,
  signalWorkflow,
  step,
  update,
  workflow,
} from "../../src/workflow/index.ts";
import type { Workflow } from "../../src/workflow/index.ts";

const words = [
  "start-input",
  "far-input",
  "far-result",
  "far-heartbeat",
  "far-message",
  "far-details",
  "far-cause",
  "near-input",
  "near-result",
  "near-heartbeat",
  "near-message",
  "near-details",
  "step-result",
  "side-effect",
  "log-line",
  "signal-payload",
  "start-signal",
  "sent-signal",
  "kept-signal",
  "query-input",
  "query-answer",
  "child-input",
  "child-result",
  "child-message",
  "child-details",
  "next-input",
  "last-result",
  "query-refusal",
  "signal-refusal",
  "update-input",
  "update-answer",
  "update-message",
  "update-details",
  "update-refusal",
  "rejection",
  "rejection-details",
  "start-refusal",
] as const;
export type Word = (typeof words)[number];

/** In capitals, and with nothing that JSON or a URL would write otherwise. */
export function secret(word: Word): string {
  return `SECRET${word.replaceAll("-", "").toUpperCase()}`;
}

export const secrets: readonly string[] = words.map(secret);

/** What is said of a value that a schema refuses quotes it, as authors' schemas do. */
const refusing = z.string().refine((text) => !text.includes("REFUSAL"), {
  error: (issue) => `it must not be ${String(issue.input)}`,
});

export const far = activity(
  "far",
  { taskQueue: "far", heartbeat: "30s", retry: { maxAttempts: 3, initialDelay: 1 } },
  async (input: string, task): Promise<string> => {
    if (input !== secret("far-input")) throw new Error(`not the input: ${input}`);
    if (task.attempt === 1) {
      task.heartbeat({ seen: secret("far-heartbeat") });
      throw new ApplicationFailure(`it said ${secret("far-message")}`, {
        type: "Declined",
        details: { what: secret("far-details") },
        cause: new Error(secret("far-cause")),
      });
    }
    const last = task.lastHeartbeat as { readonly seen: string } | undefined;
    if (last?.seen !== secret("far-heartbeat")) throw new Error("the heartbeat did not arrive");
    return secret("far-result");
  },
);

export const near = activity(
  "near",
  { retry: { maxAttempts: 3, initialDelay: 1 } },
  async (input: string, task): Promise<string> => {
    if (input !== secret("near-input")) throw new Error(`not the input: ${input}`);
    if (task.attempt === 1) {
      task.heartbeat({ seen: secret("near-heartbeat") });
      throw new ApplicationFailure(`it said ${secret("near-message")}`, {
        type: "Declined",
        details: { what: secret("near-details") },
      });
    }
    return secret("near-result");
  },
);

export const go = signal("go", refusing);
export const note = signal("note", z.object({ text: refusing }));
export const stage = query("stage", {
  input: refusing,
  output: z.object({ at: z.string(), of: z.string() }),
});

export const change = update("change", z.string().trim().pipe(refusing), z.object({ answer: z.string() }));

export const listener = workflow("listener", async () => {
  const heard = await receive(note, { timeout: "1 minute" });
  return heard.ok ? heard.value.text : "nothing";
});

export const small = workflow("small", async (input: string) => {
  if (input === secret("child-input")) return secret("child-result");
  throw new ApplicationFailure(secret("child-message"), { type: "Small", details: secret("child-details") });
});

interface Input {
  readonly word: string;
  readonly listener: string;
}

const inputSchema = z.object({ word: refusing, listener: z.string() });

export const everything: Workflow<Input, unknown> = workflow(
  "everything",
  { input: inputSchema },
  async (input: Input) => {
    const of = [input.word];
    expose(stage, (asked) => ({ at: secret("query-answer"), of: asked }));
    expose(
      change,
      (what) => {
        if (what === "fail")
          throw new ApplicationFailure(secret("update-message"), { details: secret("update-details") });
        return { answer: what === secret("update-input") ? secret("update-answer") : "something else" };
      },
      {
        validate: (what) => {
          if (what === "reject")
            throw new ApplicationFailure(secret("rejection"), { details: secret("rejection-details") });
        },
      },
    );
    if (input.word === secret("next-input")) {
      // It came to the run before, which did not ask for it.
      return { ends: secret("last-result"), kept: (await receive(note)).text };
    }
    of.push(await far(secret("far-input")), await near(secret("near-input")));
    of.push(await step("inline", () => secret("step-result")));
    log.info(secret("log-line"));
    of.push(sideEffect(() => secret("side-effect")));
    of.push(await receive(go), await receive(go));
    await signalWorkflow(input.listener, note, { text: secret("sent-signal") });
    of.push(await child(small, secret("child-input")));
    try {
      await child(small, "fails");
    } catch (error) {
      const failure = error as Error & { readonly cause: ApplicationFailure };
      if (!failure.message.endsWith(secret("child-message")))
        throw new Error("the message was lost", { cause: error });
      of.push(failure.cause.message, String(failure.cause.details));
    }
    await receive(signal("continue"));
    const wanted = [
      ...(["start-input", "far-result", "near-result", "step-result", "side-effect"] as const),
      ...(["start-signal", "signal-payload", "child-result", "child-message", "child-details"] as const),
    ].map(secret);
    if (JSON.stringify(of) !== JSON.stringify(wanted)) throw new Error(`not what was expected: ${of.join()}`);
    return continueAsNew(everything, { word: secret("next-input"), listener: input.listener });
  },
);

export const everythingWorkflows = [everything, listener, small];
