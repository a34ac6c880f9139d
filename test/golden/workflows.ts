/**
 * The workflows whose histories are kept in this folder. What is here is recorded: a change of what they ask for, or of
 * the order in which they ask, breaks runs that are under way somewhere, and the histories here show it.
 */
import { z } from "zod";
import {
  activity,
  attributes,
  allHandlersFinished,
  ApplicationFailure,
  child,
  compensate,
  continueAsNew,
  expose,
  info,
  isCancelled,
  isFailure,
  now,
  patched,
  query,
  random,
  receive,
  scope,
  shield,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  step,
  update,
  uuid,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";

// Approval gate: somebody decides in time, or nobody does.

export const decision = signal("decision", z.object({ by: z.string(), ok: z.boolean() }));
export const gate = query<string>("gate");
const notify = activity("notify", (_message: string): void => undefined);

export const approvalGate = workflow("approval-gate", async (request: { readonly what: string }) => {
  let at = "asking";
  expose(gate, () => at);
  await notify(`please decide: ${request.what}`);
  at = "waiting";
  for (let reminder = 1; reminder <= 2; reminder++) {
    const decided = await receive(decision, { timeout: "1 day" });
    if (decided.ok) {
      at = decided.value.ok ? "approved" : "refused";
      await notify(`${request.what}: ${at} by ${decided.value.by}`);
      return at;
    }
    await notify(`reminder ${reminder}: ${request.what}`);
  }
  at = "expired";
  return at;
});

// Saga: a journey is booked leg by leg, and all of it undone when one leg is not to be had.

const book = activity(
  "book",
  { retry: { maxAttempts: 3, initialDelay: "1s", jitter: 0, nonRetryable: ["SoldOut"] } },
  (_leg: string): string => "",
);
const unbook = activity("unbook", { retry: { initialDelay: "1s", jitter: 0 } }, (_booking: string): void => {
  // Given by whoever plays the outside.
});

export const journey = workflow("journey", async (legs: readonly string[]) => {
  const bookings: string[] = [];
  for (const leg of legs) {
    const booking = await book(leg);
    compensate(() => unbook(booking));
    bookings.push(booking);
  }
  return bookings;
});

// Subscription: a month per run, for as long as it lasts.

export const changePlan = signal<string>("change-plan");
export const endSubscription = signal("end-subscription");
const charge = activity(
  "charge-month",
  (_of: { readonly plan: string; readonly month: number }): string => "",
);

interface Subscription {
  readonly plan: string;
  readonly month: number;
}

export const subscription = workflow("subscription", async ({ plan, month }: Subscription) => {
  let next = plan;
  let isEnding = false;
  expose(changePlan, (name) => {
    next = name;
  });
  expose(endSubscription, () => {
    isEnding = true;
  });
  const receipt = await charge({ plan, month });
  if (await waitUntil(() => isEnding, "30 days")) return { months: month, receipt };
  return continueAsNew({ plan: next, month: month + 1 });
});

// Batch: children for its parts, a few at a time, and one that fails alone.

const importFile = activity("import-file", (_file: string): number => 0);

export const importOne = workflow("import-one", async (file: string) => {
  const rows = await importFile(file);
  await sleep("10s");
  return rows;
});

export const batch = workflow("batch", async (files: readonly string[]) => {
  const outcomes: string[] = [];
  for (let index = 0; index < files.length; index += 2) {
    const part = files.slice(index, index + 2);
    const settled = await Promise.allSettled(
      part.map((file) => child(importOne, file, { id: `import/${file}` })),
    );
    for (const each of settled) {
      outcomes.push(
        each.status === "fulfilled"
          ? `${each.value} rows`
          : isFailure(each.reason)
            ? each.reason.kind
            : "unknown",
      );
    }
  }
  void child(importOne, "audit", { id: "import/audit", parentClosePolicy: "abandon" }).catch(() => undefined);
  return outcomes;
});

// Pipeline: what can be done side by side is, and the slowest is not waited for.

const fetchPart = activity("fetch-part", { startToClose: "1 minute" }, (_part: number): string => "");
const combine = activity("combine", (_parts: readonly string[]): string => "");

export const pipeline = workflow("pipeline", async (parts: readonly number[]) => {
  const started = now();
  const id = uuid();
  const tag = await step("make a tag", () => "tag-1");
  const region = sideEffect(() => "eu-1");
  const fetched = await Promise.all(parts.map((part) => fetchPart(part)));
  const combined = await scope(() => combine(fetched), { timeout: "10s" });
  // The draw decides: it is the same in every replay of the run.
  if (random() < 2) await sleep(1_000);
  if (patched("thumbnails")) await fetchPart(-1);
  return { tag, region, combined: combined.ok, took: now() - started, idLength: id.length };
});

// Retry policy: every way in which an attempt can go wrong, and what the code sees of it.

const options = { maxAttempts: 3, backoff: "linear", initialDelay: "2s", jitter: 0 } as const;
const unsteady = activity(
  "unsteady",
  { retry: options, startToClose: "10s", heartbeat: "5s", scheduleToClose: "10 minutes" },
  (_mode: string): string => "",
);

export const persistence = workflow("persistence", async (modes: readonly string[]) => {
  const outcomes: string[] = [];
  for (const mode of modes) {
    try {
      outcomes.push(await unsteady(mode));
    } catch (error) {
      const cause = isFailure(error) && isFailure(error.cause) ? error.cause : undefined;
      outcomes.push(cause instanceof ApplicationFailure ? cause.type : (cause?.kind ?? "unknown"));
    }
  }
  return outcomes;
});

// Night watch: cancelled, it still locks up; and it tells the day watch.

export const handOver = signal<string>("hand-over");
const lockUp = activity("lock-up", (_door: string): void => undefined);

export const nightWatch = workflow("night-watch", async (doors: readonly string[]) => {
  try {
    for (;;) await sleep("1 hour");
  } catch (error) {
    await shield(async () => {
      for (const door of doors) await lockUp(door);
      await signalWorkflow("day-watch", handOver, isCancelled(error) ? "relieved" : "in trouble");
    });
    throw error;
  }
});

export const dayWatch = workflow("day-watch", async () => receive(handOver));

// Family: every way in which a child can end, and what its parent sees of it.

export const pastime = workflow("pastime", async (length: string) => {
  await sleep(length);
  return length;
});

export const family = workflow("family", async () => {
  const told = (error: unknown): string =>
    isFailure(error) && isFailure(error.cause) ? error.cause.kind : "unknown";
  return {
    patient: await child(pastime, "1 minute", { id: "patient" }),
    overdue: await child(pastime, "1 hour", { id: "overdue", runTimeout: "5 minutes" }).catch(told),
    called: await scope(() => child(pastime, "1 hour", { id: "called" }), { timeout: "1 minute" }),
    taken: await child(pastime, "1 hour", { id: "taken" }).catch(told),
    spoiled: await child(pastime, "no time at all", { id: "spoiled" }).catch(told),
  };
});

// Tally: one amount per run; what came meanwhile goes along to the next.

export const amount = signal<number>("amount");

export const tally = workflow("tally", async (sum: number) => {
  const next = await receive(amount, { timeout: "1 hour" });
  if (!next.ok) return sum;
  await sleep("10s");
  return continueAsNew(sum + next.value);
});

// Long haul: a run that continues as new when it is told to, by its events or by its bytes, and one that reaches a limit.

export const haul = workflow(
  "haul",
  async ({ legs, cargo }: { readonly legs: number; readonly cargo: string }): Promise<string> => {
    for (let left = legs; left > 0; left--) {
      await sleep("10s");
      if (info().continueAsNewSuggested && left > 1)
        return continueAsNew({ legs: left - 1, cargo: cargo.slice(0, 10) });
    }
    return `${info().historyLength} ${info().continueAsNewSuggested}`;
  },
);

export const trucks = signal<number>("trucks");

export const convoy = workflow("convoy", async () => {
  const under: Promise<void>[] = [];
  for (;;) {
    const count = await receive(trucks);
    for (let truck = 0; truck < count; truck++) under.push(sleep("1 hour"));
  }
});

// Darkroom: activities on workers that leave, fall silent, and are never heard of again.

const develop = activity<string, string>("develop", { taskQueue: "darkroom", heartbeat: "1 minute" });
const enlarge = activity<string, string>("enlarge", { taskQueue: "darkroom", scheduleToClose: "1 hour" });

export const darkroom = workflow("darkroom", async (films: readonly string[]) => {
  const [first = "none", ...others] = films;
  const negative = await develop(first);
  const lost = await Promise.all(
    others.map((film) => develop(film).catch((error: unknown) => (isFailure(error) ? error.cause : error))),
  );
  const print = await enlarge(negative).catch((error: unknown) => isFailure(error) && error.cause);
  return [negative, lost.length, print !== undefined];
});

// Parcel: requests that are checked, dealt with beside the main code, and answered; one is left behind at each end.

const quote = activity("quote", (_street: string): number => 0);
export const redirect = update("redirect", z.object({ street: z.string().trim() }), z.number());
export const hold = update<string, string>("hold");
export const dispatched = signal("dispatched");

export const parcel = workflow("parcel", async (leg: number): Promise<readonly string[]> => {
  const went: string[] = [];
  let isMoving = false;
  expose(
    redirect,
    async ({ street }) => {
      went.push(`to ${street}`);
      const fee = await quote(street);
      if (fee > 10) throw new ApplicationFailure("too dear", { type: "TooDear", details: { fee } });
      return fee;
    },
    {
      validate: () => {
        if (isMoving) throw new ApplicationFailure("it is on its way", { type: "TooLate" });
      },
    },
  );
  expose(hold, async (length) => {
    await sleep(length);
    went.push(`held ${length}`);
    return `${length}, ${went.length}`;
  });
  await receive(dispatched);
  isMoving = true;
  await waitUntil(allHandlersFinished, "1 hour");
  await sleep("1 minute");
  return leg === 0 ? continueAsNew(1) : went;
});

// Interlude: what happens during pauses, and what is called off after them.

const rehearse = activity("rehearse", (_piece: string): string => "rehearsed");
export const cue = signal<string>("cue");

export const interlude = workflow("interlude", async () => {
  const piece = await rehearse("first");
  const cues: string[] = [];
  while (cues.length < 4) {
    const got = await receive(cue, { timeout: "1 hour" });
    cues.push(got.ok ? got.value : "late");
  }
  return { piece, cues };
});

// Encore: what ended, and went on all the same.

const perform = activity("perform", (_piece: string): string => "performed");
export const applause = signal<string>("applause");

export const encore = workflow("encore", async (pieces: readonly string[]) => {
  const played: string[] = [];
  for (const piece of pieces) {
    played.push(await perform(piece));
    const heard = await receive(applause, { timeout: "1 hour" });
    played.push(heard.ok ? heard.value : "silence");
  }
  return played;
});

// Retake: what goes on from an earlier point, as another run and under another name.

const shoot = activity("shoot", (_take: readonly [scene: string, slate: string]): string => "shot");
export const note = signal<string>("note");

export const extra = workflow("extra", async (role: string) => `${role} ${await receive(note)}`);

export const retake = workflow("retake", async (scenes: readonly string[]) => {
  const crowd = child(extra, "crowd");
  const reel: string[] = [];
  for (const scene of scenes) {
    const luck = random() < 0.5 ? "heads" : "tails";
    reel.push(`${await shoot([scene, uuid()])} (${luck})`);
    const got = await receive(note, { timeout: "1 hour" });
    reel.push(got.ok ? got.value : "no note");
  }
  await sleep("10 minutes");
  return { reel, crowd: await crowd, of: info().runId === "" };
});

// Night desk: what waits for an operator, while the rest goes on.

const desk = { retry: { maxAttempts: 2, initialDelay: "1s", jitter: 0, onExhausted: "park" } } as const;
const ring = activity("ring", desk, (_room: string): string => "rung");
export const key = signal<string>("key");

export const nightDesk = workflow("night-desk", async (rooms: readonly string[]) => {
  const rings = rooms.map((room) =>
    ring(room, {
      ...desk,
      ...(room === "late" ? { scheduleToClose: "3 hours", startToClose: "1 minute" } : {}),
    }),
  );
  const keys: string[] = [];
  while (keys.length < 2) {
    const got = await receive(key, { timeout: "1 hour" });
    keys.push(got.ok ? got.value : "nobody");
  }
  const ends = await Promise.allSettled(rings);
  return { keys, ends: ends.map((end) => (end.status === "fulfilled" ? end.value : String(end.reason))) };
});

// Timesheet: what goes by the time that a schedule started it for, and continues as new.

export const sheet = workflow("sheet", async (left: number): Promise<string> => {
  const { schedule } = info();
  if (schedule === undefined || schedule.nominalAt % 600_000 !== 0)
    throw new ApplicationFailure("it has no time", { type: "NoTime" });
  await sleep("1 minute");
  if (left > 0) return continueAsNew(left - 1);
  return `${schedule.id} ${schedule.nominalAt}`;
});

// Timetable: what a schedule starts, and takes ten minutes.

export const shuttle = workflow("shuttle", async (line: string) => {
  await sleep("10 minutes");
  return `${line} has arrived`;
});

// Census: what runs are found by, from the start on and set on the way, over runs of a chain and in a child.

const count = activity("count", (street: string): number => street.length);

export const household = workflow("household", async () => attributes.get("street") ?? "nowhere");

export const census = workflow("census", async (streets: readonly string[]): Promise<unknown> => {
  const [street = "", ...rest] = streets;
  attributes.set({ street, isOver: false, since: new Date(1_700_000_000_000), tags: ["east", "quiet"] });
  const heads = await count(street);
  attributes.set({ heads, tags: null, since: undefined });
  const home = await child(household, undefined, { attributes: { street, heads } });
  if (rest.length > 0) return continueAsNew(rest);
  attributes.set({ isOver: true });
  return { home, found: attributes.get() };
});
