import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CancelledFailure } from "../core/failure.ts";
import { CancellationScope } from "./scope.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const why = new CancelledFailure("why");

/** A tree of scopes: each with a number of waits, and scopes below it. */
interface Tree {
  readonly waitCount: number;
  readonly below: readonly Tree[];
  /** A scope without a parent: cancellation from above does not reach it. */
  readonly isShield: boolean;
}
const treeOf = (depth: number): fc.Arbitrary<Tree> =>
  fc.record({
    waitCount: fc.nat({ max: 3 }),
    below: depth === 0 ? fc.constant([]) : fc.array(treeOf(depth - 1), { maxLength: 3 }),
    isShield: fc.boolean(),
  });
const tree = treeOf(3);

/** Builds the tree; waits and scopes below alternate, in the order in which a program would add them. */
function build(
  of: Tree,
  parent: CancellationScope | undefined,
  told: string[],
  name: string,
): CancellationScope {
  const scope = new CancellationScope(of.isShield ? undefined : parent);
  for (let index = 0; index < Math.max(of.waitCount, of.below.length); index++) {
    if (index < of.waitCount) scope.add({ cancel: () => told.push(`${name}.w${index}`) });
    const below = of.below[index];
    if (below !== undefined) build(below, scope, told, `${name}.${index}`);
  }
  return scope;
}

function expectedOrder(of: Tree, name: string): readonly string[] {
  const order: string[] = [];
  for (let index = 0; index < Math.max(of.waitCount, of.below.length); index++) {
    if (index < of.waitCount) order.push(`${name}.w${index}`);
    const below = of.below[index];
    if (below !== undefined && !below.isShield) order.push(...expectedOrder(below, `${name}.${index}`));
  }
  return order;
}

describe("cancelling a scope", () => {
  // I-38
  it("reaches everything below it but shields, once, in the order in which it was added", () => {
    fc.assert(
      fc.property(tree, (of) => {
        const told: string[] = [];
        const root = build({ ...of, isShield: false }, undefined, told, "root");
        root.cancel(why);
        expect(told).toEqual(expectedOrder(of, "root"));
        root.cancel(new CancelledFailure("again"));
        expect(told).toHaveLength(expectedOrder(of, "root").length);
        expect(root.cancelled).toBe(why);
      }),
      { seed },
    );
  });

  it("does not reach upwards or sideways", () => {
    const told: string[] = [];
    const root = new CancellationScope(undefined);
    root.add({ cancel: () => told.push("root") });
    const left = new CancellationScope(root);
    left.add({ cancel: () => told.push("left") });
    const right = new CancellationScope(root);
    right.add({ cancel: () => told.push("right") });
    left.cancel(why);
    expect(told).toEqual(["left"]);
    expect(right.cancelled).toBeUndefined();
    expect(root.cancelled).toBeUndefined();
  });

  it("does not reach what has left before", () => {
    const told: string[] = [];
    const root = new CancellationScope(undefined);
    const member = { cancel: () => told.push("member") };
    root.add(member);
    root.remove(member);
    root.cancel(why);
    expect(told).toEqual([]);
  });

  it("reaches what still waits in a scope that is over, and what begins to wait there later", () => {
    const told: string[] = [];
    const root = new CancellationScope(undefined);
    const inner = new CancellationScope(root);
    const first = { cancel: () => told.push("first") };
    inner.add(first);
    inner.leave();
    inner.remove(first);
    expect(inner.cancelled).toBeUndefined();
    inner.add({ cancel: () => told.push("second") });
    root.cancel(why);
    expect(told).toEqual(["second"]);
    expect(inner.cancelled).toBe(why);
  });

  it("is known in a scope that is over and empty", () => {
    const root = new CancellationScope(undefined);
    const inner = new CancellationScope(root);
    inner.leave();
    root.cancel(why);
    expect(inner.cancelled).toBe(why);
  });

  it("reaches what leaves while it is under way, and nothing that joins meanwhile", () => {
    const told: string[] = [];
    const root = new CancellationScope(undefined);
    const second = { cancel: () => told.push("second") };
    root.add({
      cancel: () => {
        told.push("first");
        root.remove(second);
        root.add({ cancel: () => told.push("late") });
      },
    });
    root.add(second);
    root.cancel(why);
    expect(told).toEqual(["first", "second"]);
  });
});

describe("the signal of a scope", () => {
  it("is aborted with the failure, whether it was asked for before or after", () => {
    const early = new CancellationScope(undefined);
    const { signal } = early;
    expect(signal.aborted).toBe(false);
    early.cancel(why);
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe(why);
    expect(early.signal).toBe(signal);

    const late = new CancellationScope(undefined);
    late.cancel(why);
    expect(late.signal.reason).toBe(why);
  });
});
