import assert from "node:assert/strict";
import type { Message } from "../../core/message.ts";
import { toPayload } from "../../core/payload.ts";
import type { OutgoingMessage } from "../contract.ts";
import type { Scenario } from "./world.ts";
import { assertRefused, idOf, runOf, snapshot, startOf } from "./world.ts";

function signalTo(target: string, name: string): OutgoingMessage {
  const message: Message = {
    kind: "signal",
    name,
    payload: toPayload({ name }, "payload"),
    signalId: `id of ${name}`,
  };
  return { target: idOf(target), message };
}

export const messageScenarios: readonly Scenario[] = [
  {
    name: "messages are listed in the order in which they were sent, with the ids that the commit returned",
    async run(world) {
      const run = await world.start("w");
      const first = await world.extend(run, {}, { send: [signalTo("a", "1"), signalTo("b", "2")] });
      const [second] = await world.append({
        start: startOf("v", { runId: world.newRunId() }),
        send: [signalTo("a", "3")],
      });
      assert.ok(first.ok && second?.ok === true);
      const ids = [...first.messageIds, ...second.messageIds];
      assert.deepEqual(
        await world.store.listMessages(0, 10),
        [signalTo("a", "1"), signalTo("b", "2"), signalTo("a", "3")].map((sent, index) => ({
          messageId: ids[index],
          ...sent,
        })),
      );
      const later = await world.store.listMessages(ids[0] ?? 0, 1);
      assert.deepEqual(
        later.map((message) => message.messageId),
        [ids[1]],
      );
    },
  },
  {
    // I-22
    name: "a message is consumed by exactly one commit",
    async run(world) {
      const sender = await world.start("sender");
      const receiver = await world.start("receiver");
      const sent = await world.extend(sender, {}, { send: [signalTo("receiver", "a")] });
      const [messageId = 0] = sent.ok ? sent.messageIds : [];
      const answers = await Promise.all(
        [1, 2, 3].map(() => world.append({ consume: [messageId] }, { consume: [messageId] })),
      );
      assert.equal(answers.flat().filter((result) => result.ok).length, 1);
      assert.deepEqual(await world.store.listMessages(0, 10), []);
      const before = await snapshot(world.store, "receiver");
      const [refused] = await world.append({ run: runOf(receiver), consume: [messageId] });
      assertRefused(refused, { missingMessageId: messageId });
      assert.deepEqual(await snapshot(world.store, "receiver"), before);
      await world.extend(receiver);
    },
  },
  {
    // I-4
    name: "a commit that is refused neither consumes nor sends",
    async run(world) {
      const run = await world.start("w");
      const sent = await world.extend(run, {}, { send: [signalTo("w", "a")] });
      const messageIds = sent.ok ? sent.messageIds : [];
      const before = await snapshot(world.store, "w");
      const [stale] = await world.append({
        run: runOf(run, { expectedSeq: 1 }),
        consume: messageIds,
        send: [signalTo("x", "b")],
      });
      assertRefused(stale, { expected: 1, found: 2 });
      const [absent] = await world.append({
        run: runOf(run),
        consume: [...messageIds, 999],
        send: [signalTo("x", "c")],
      });
      assertRefused(absent, { missingMessageId: 999 });
      const [taken] = await world.append({
        start: startOf("w"),
        consume: messageIds,
        send: [signalTo("x", "d")],
      });
      assertRefused(taken, { expected: 0, found: 2 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
    },
  },
  {
    name: "consuming, extending and sending on are one commit",
    async run(world) {
      const run = await world.start("w");
      const sent = await world.extend(run, {}, { send: [signalTo("w", "a"), signalTo("w", "b")] });
      assert.ok(sent.ok);
      const answered = await world.extend(run, {}, { consume: sent.messageIds, send: [signalTo("w", "c")] });
      assert.ok(answered.ok);
      const left = await world.store.listMessages(0, 10);
      assert.deepEqual(left, [{ messageId: answered.messageIds[0], ...signalTo("w", "c") }]);
    },
  },
  {
    name: "the id of a message is never given again",
    async run(world) {
      const run = await world.start("w");
      const seen = new Set<number>();
      for (let round = 0; round < 4; round += 1) {
        const sent = await world.extend(run, {}, { send: [signalTo("w", "a"), signalTo("w", "b")] });
        assert.ok(sent.ok);
        for (const messageId of sent.messageIds) {
          assert.ok(!seen.has(messageId), `${messageId} is new`);
          seen.add(messageId);
        }
        const [consumed] = await world.append({ consume: sent.messageIds });
        assert.equal(consumed?.ok, true);
      }
    },
  },
  {
    name: "messages of every kind come back as they were",
    async run(world) {
      const link = { workflowId: idOf("p"), runId: world.newRunId(), ordinal: 2 };
      const messages: readonly Message[] = [
        {
          kind: "start-child",
          workflowType: "t",
          input: toPayload([1], "input"),
          parent: link,
          runTimeoutMs: 5,
        },
        {
          kind: "child-closed",
          runId: link.runId,
          ordinal: 2,
          outcome: { type: "ChildWorkflowCompleted", result: toPayload("ö", "result") },
        },
        { kind: "signal", name: "n", payload: toPayload(null, "payload"), from: link },
        { kind: "signal-settled", runId: link.runId, ordinal: 2, failure: { kind: "engine", message: "m" } },
        { kind: "cancel", reason: "r" },
        { kind: "terminate", runId: link.runId },
      ];
      const run = await world.start("w");
      await world.extend(run, {}, { send: messages.map((message) => ({ target: idOf("x"), message })) });
      const read = await world.store.listMessages(0, 10);
      assert.deepEqual(
        read.map(({ message }) => message),
        messages,
      );
    },
  },
];
