import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import { AionError } from "./errors.ts";
import type { Failure, TimeoutKind, WorkflowFailure } from "./failure.ts";
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildFailure,
  EngineFailure,
  fromFailure,
  isCancelled,
  isFailure,
  TerminatedFailure,
  TimeoutFailure,
  toFailure,
} from "./failure.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

const card = new ApplicationFailure("declined", {
  type: "CardDeclined",
  nonRetryable: true,
  details: { code: 51 },
});
const samples = [
  card,
  new ApplicationFailure("plain"),
  new ApplicationFailure("outer", { cause: card }),
  new ActivityFailure("charge failed", { activityType: "charge", attempt: 3, cause: card }),
  new ChildFailure("child failed", {
    workflowType: "ship",
    childWorkflowId: "order-1/ship",
    cause: new TimeoutFailure("too late", "run"),
  }),
  new TimeoutFailure("too late", "heartbeat"),
  new CancelledFailure("not wanted"),
  new TerminatedFailure("enough"),
  new EngineFailure("diverged", "nondeterminism"),
];

function fields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const {
    stack: _stack,
    cause,
    ...own
  } = Object.fromEntries(
    Object.getOwnPropertyNames(error).map((name) => [name, Reflect.get(error, name) as unknown]),
  );
  return { ...own, class: error.constructor.name, cause: fields(cause) };
}

describe("a failure", () => {
  it.each(samples.map((failure) => [failure.name, failure] as const))(
    "%s comes back as what it was, with its chain of causes",
    (_name, failure) => {
      const encoded = JSON.parse(JSON.stringify(toFailure(failure))) as Failure;
      const decoded = fromFailure(encoded);
      expect(fields(decoded)).toEqual(fields(failure));
    },
  );

  it("keeps the stack of where it was thrown", () => {
    const thrown = new ApplicationFailure("here");
    expect(fromFailure(toFailure(thrown)).stack).toBe(thrown.stack);
  });

  it("is the same plain data after any number of journeys", () => {
    const failure = fc.letrec<{ failure: Failure }>((tie) => ({
      failure: fc
        .tuple(
          fc.constantFrom("application", "activity", "child"),
          fc.string({ maxLength: 8 }),
          fc.option(tie("failure"), { nil: undefined, maxDepth: 5 }),
        )
        .map(([kind, message, cause]): Failure => {
          const rest = { message, stack: "at a", ...(cause === undefined ? {} : { cause }) };
          if (kind === "activity") return { kind, of: "charge", attempt: 2, ...rest };
          if (kind === "child") return { kind, of: "ship", childWorkflowId: "c", ...rest };
          return { kind: "application", type: "T", ...rest };
        }),
    })).failure;
    fc.assert(
      fc.property(failure, (data) => {
        expect(toFailure(fromFailure(data))).toEqual(data);
      }),
      { seed },
    );
  });

  it("made of an ordinary error has its class name as type, and its causes", () => {
    const error = new TypeError("no such field", { cause: new RangeError("too far") });
    expect(toFailure(error)).toMatchObject({
      kind: "application",
      type: "TypeError",
      message: "no such field",
      cause: { kind: "application", type: "RangeError", message: "too far" },
    });
  });

  it("made of an error of a class that gives itself no name has that of the class", () => {
    class QuotaExceeded extends Error {}
    class Renamed extends Error {
      override name = "Other";
    }
    const typeOf = (error: unknown): unknown => toFailure(error).type;
    expect(typeOf(new QuotaExceeded("no more"))).toBe("QuotaExceeded");
    expect(typeOf(new Renamed("no more"))).toBe("Other");
    expect(typeOf(new Error("no more"))).toBe("Error");
    expect(typeOf(new (class extends Error {})("no more"))).toBe("Error");
    expect(typeOf(Object.assign(new Error("no more"), { name: 5, constructor: null }))).toBe("Error");
  });

  it("made of an error of Aion itself keeps the code, and is the engine's", () => {
    expect(toFailure(new AionError("payload_too_large", "big"))).toMatchObject({
      kind: "engine",
      type: "payload_too_large",
      message: "big",
    });
  });

  it.each([undefined, null, 5, "text", Symbol("s"), {}, [], () => 1])(
    "is made of anything thrown: %s",
    (value) => {
      const failure = toFailure(value);
      expect(failure.kind).toBe("application");
      expect(typeof failure.message).toBe("string");
      expect(isFailure(fromFailure(failure))).toBe(true);
    },
  );

  it.each(["name", "message", "stack", "cause", "constructor"])(
    "is made of an error that cannot be read: %s",
    (field) => {
      const error = Object.defineProperty(new Error("no more"), field, {
        get: () => {
          throw new Error("ha");
        },
      });
      expect(toFailure(error)).toMatchObject({ kind: "application", type: "Error" });
      expect(toFailure(new Error("outer", { cause: error }))).toMatchObject({ message: "outer" });
    },
  );

  it("is bounded, however deep or large what was thrown is", () => {
    let deep: Error = new Error("bottom");
    for (let index = 0; index < 1_000; index++) deep = new Error(`level ${index}`, { cause: deep });
    let depth = 0;
    for (let at: Failure | undefined = toFailure(deep); at !== undefined; at = at.cause) depth += 1;
    expect(depth).toBeLessThan(30);

    const cycle = new Error("round");
    cycle.cause = cycle;
    expect(JSON.stringify(toFailure(cycle)).length).toBeLessThan(200_000);

    const large = new ApplicationFailure("m".repeat(1_000_000), { details: "d".repeat(1_000_000) });
    large.stack = "s".repeat(1_000_000);
    const encoded = toFailure(large);
    expect(JSON.stringify(encoded).length).toBeLessThan(20_000);
    expect(encoded.details).toContain("dropped");
  });

  it("with details that JSON cannot hold says what it dropped", () => {
    const failure = toFailure(new ApplicationFailure("m", { details: { amount: 1n } }));
    expect(failure.details).toContain("BigInt");
  });
});

describe("recognising a failure", () => {
  it("goes by the brand, not by the class: a copy from another realm counts", () => {
    const foreign: unknown = runInNewContext(
      `const error = new Error("from afar");
       Object.defineProperty(error, Symbol.for("aion.failure"), { value: true });
       error.kind = "application"; error.type = "Far"; error.nonRetryable = true; error;`,
    );
    expect(foreign instanceof Error).toBe(false);
    expect(isFailure(foreign)).toBe(true);
    expect(toFailure(foreign)).toMatchObject({
      kind: "application",
      message: "from afar",
      type: "Far",
      nonRetryable: true,
    });
  });

  it("takes one of a kind that it does not know for any other error", () => {
    const later = Object.assign(new Error("from later"), { [Symbol.for("aion.failure")]: true });
    for (const kind of [undefined, "quarantined", 7, "toString"]) {
      const branded = Object.assign(later, { kind });
      expect(isFailure(branded)).toBe(false);
      expect(toFailure(branded)).toMatchObject({ kind: "application", message: "from later", type: "Error" });
    }
  });

  it("does not go by the name", () => {
    expect(
      isFailure(Object.assign(new Error("x"), { name: "ApplicationFailure", kind: "application" })),
    ).toBe(false);
    expect(isFailure(undefined)).toBe(false);
    expect(isFailure("cancelled")).toBe(false);
  });

  it("tells by its kind which class it is, and so which fields it has", () => {
    const fieldOf = (thrown: unknown): string => {
      if (!isFailure(thrown)) {
        expectTypeOf(thrown).toBeUnknown();
        return "none";
      }
      expectTypeOf(thrown).toEqualTypeOf<WorkflowFailure>();
      expectTypeOf(thrown.kind).toEqualTypeOf<Failure["kind"]>();
      // @ts-expect-error -- not every failure has a type
      void thrown.type;
      switch (thrown.kind) {
        case "application":
          expectTypeOf(thrown).toEqualTypeOf<ApplicationFailure>();
          return thrown.type;
        case "activity":
          expectTypeOf(thrown.attempt).toBeNumber();
          return thrown.activityType;
        case "child":
          expectTypeOf(thrown.childWorkflowId).toBeString();
          return thrown.workflowType;
        case "timeout":
          expectTypeOf(thrown.timeout).toEqualTypeOf<TimeoutKind>();
          return thrown.timeout;
        case "cancelled":
          expectTypeOf(thrown).toEqualTypeOf<CancelledFailure>();
          return thrown.message;
        case "terminated":
          expectTypeOf(thrown).toEqualTypeOf<TerminatedFailure>();
          return thrown.message;
        case "engine":
          expectTypeOf(thrown).toEqualTypeOf<EngineFailure>();
          return thrown.code;
        default:
          // Complete: nothing is left.
          expectTypeOf(thrown).toBeNever();
          return "unknown";
      }
    };
    expect(samples.map(fieldOf)).toEqual([
      "CardDeclined",
      "Error",
      "Error",
      "charge",
      "ship",
      "heartbeat",
      "not wanted",
      "enough",
      "nondeterminism",
    ]);
    expect(fieldOf(new Error("x"))).toBe("none");
  });

  it("finds a cancellation at whatever depth it arrived", () => {
    const cancelled = new CancelledFailure();
    const activity = new ActivityFailure("a", { activityType: "a", attempt: 1, cause: cancelled });
    const child = new ChildFailure("c", { workflowType: "w", childWorkflowId: "c", cause: activity });
    expect([cancelled, activity, child].map(isCancelled)).toEqual([true, true, true]);
    expect([card, new TerminatedFailure(), new Error("cancelled"), undefined].map(isCancelled)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    const loop = new ApplicationFailure("round");
    loop.cause = loop;
    expect(isCancelled(loop)).toBe(false);
  });
});
