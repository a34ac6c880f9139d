/**
 * Bugs that the simulator has to find: changes of the engine's source, each of a kind that could slip into it; and of what stands
 * for a PostgreSQL backend here.
 */
export interface PlantedBug {
  readonly name: string;
  /** What it does, as one would describe the bug. */
  readonly claim: string;
  /** The invariants it breaks. */
  readonly invariants: readonly number[];
  /** In how many worlds, counted from seed 1, it is to be caught; three times what it took when that was measured, and rounded up. */
  readonly within: number;
  /** It is looked for in worlds that all have workers; others are in worlds that have none. */
  readonly isOfWorkers?: true;
  /** It is looked for in worlds of schedules. */
  readonly isOfSchedules?: true;
  /** It is looked for in worlds of resets. */
  readonly isOfResets?: true;
  readonly edits: readonly Edit[];
}

export interface Edit {
  readonly file: string;
  /** Occurs once. */
  readonly find: string;
  readonly replace: string;
}

function edit(file: string, find: string, replace: string): Edit {
  return { file: `src/${file}`, find, replace };
}

function editOfSim(file: string, find: string, replace: string): Edit {
  return { file: `sim/${file}`, find, replace };
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "acknowledge-before-commit",
    claim: "Whoever waits for a commit is answered when it is handed to the store.",
    invariants: [1, 3, 9],
    within: 10,
    edits: [
      edit(
        "engine/recorder.ts",
        "    this.#underWay += 1;\n",
        `    this.#underWay += 1;
    for (const [index, pending] of batch.entries()) {
      if (pending.commit.start !== undefined || pending.commit.send !== undefined) continue;
      batch[index] = { ...pending, done: () => undefined };
      pending.done({ ok: true, messageIds: [] });
    }
`,
      ),
    ],
  },
  {
    name: "notify-before-commit",
    claim: "Who waits for a result hears of the end of the run before it is on disk.",
    invariants: [1, 9],
    within: 30,
    edits: [
      edit(
        "engine/kernel.ts",
        "    this.recorder.record(commit, done);\n",
        `    this.recorder.record(commit, done);
    const last = commit.run?.events.at(-1);
    const ending = commit.run === undefined ? undefined : this.residency.get(commit.run.workflowId);
    if (ending !== undefined && last !== undefined && commit.run?.closedAt !== undefined)
      this.watchers.closed(ending.workflowId, ending.state.started.runId, last as Event);
`,
      ),
    ],
  },
  {
    name: "unknown-taken-for-made",
    claim: "A commit of unknown outcome is taken for made when reading does not find it.",
    invariants: [6],
    within: 100,
    edits: [
      edit(
        "engine/recorder.ts",
        "        return { ok: true, messageIds: [] };\n    }\n    return { ok: false, error };",
        "        return { ok: true, messageIds: [] };\n    }\n    return start === undefined ? { ok: true, messageIds: [] } : { ok: false, error };",
      ),
    ],
  },
  {
    name: "unknown-taken-for-refused",
    claim: "A commit of unknown outcome is taken for refused, without reading.",
    invariants: [6],
    within: 10000,
    edits: [
      edit(
        "engine/recorder.ts",
        'if (error.code === "commit_unknown") {',
        'if (String(error.code) === "never") {',
      ),
    ],
  },
  {
    name: "unknown-retried-blindly",
    claim: "A commit of unknown outcome is written again instead of being read for.",
    invariants: [6],
    within: 1000,
    edits: [
      edit(
        "engine/recorder.ts",
        "this.#done(pending, await this.#resolve(pending.commit, error));",
        `this.#done(pending,
          await this.#store.append(this.#token, [pending.commit]).then(
            (results) => results[0] ?? missing,
            (again: unknown) => ({ ok: false as const, error: toStoreError(again) }),
          ),
        );`,
      ),
    ],
  },
  {
    name: "unknown-resolved-in-haste",
    claim:
      "A read that fails while a commit of unknown outcome is looked for counts as a refusal of the commit.",
    invariants: [6, 34],
    within: 1000,
    edits: [
      edit(
        "engine/recorder.ts",
        'if (failure.code === "store_unavailable" && attempt < looksMax) await this.#pause();',
        'if (failure.code === "store_unavailable" && attempt < looksMax) return { ok: false, error: failure };',
      ),
    ],
  },
  {
    name: "answers-mixed-up",
    claim: "A commit that was refused gets the answer of the first one of its append.",
    invariants: [1, 4],
    within: 1000,
    edits: [
      edit(
        "engine/recorder.ts",
        "this.#done(pending, results[index] ?? missing)",
        "this.#done(pending, (results[index]?.ok === false ? results[0] : results[index]) ?? missing)",
      ),
    ],
  },
  {
    name: "refusal-overlooked",
    claim:
      "A commit that the store refused for a passing reason leaves the state in memory as if it had been made.",
    invariants: [9, 19],
    within: 100,
    edits: [
      edit(
        "engine/resident-run.ts",
        "      if (!result.ok) {\n",
        '      if (!result.ok && result.error.code === "store_unavailable" && this.runKey !== undefined)\n        result = { ok: true, messageIds: [] };\n      if (!result.ok) {\n',
      ),
    ],
  },
  {
    name: "update-made-anew",
    claim: "An update that is made again is accepted again.",
    invariants: [26],
    within: 10,
    edits: [
      edit(
        "engine/updates.ts",
        'if (state.updates.of(updateId) !== undefined || state.updates.hasEarlier(updateId)) return "known";',
        'if (state.updates.pending.size > 100) return "known";',
      ),
      edit(
        "replay/update-states.ts",
        "if (this.#updates.has(updateId)) throw historyShape(event, `update ${updateId} was accepted before it`);",
        "",
      ),
    ],
  },
  {
    name: "updates-forgotten-by-the-chain",
    claim: "The ids of updates do not go along to the run that continues a run.",
    invariants: [26],
    within: 300,
    edits: [edit("engine/successor.ts", "...(updateIds.length === 0 ? {} : { updateIds }),", "")],
  },
  {
    name: "update-told-before-commit",
    claim: "Who waits for an update is answered by what is in memory, before it is on disk.",
    invariants: [9, 26],
    within: 2000,
    edits: [
      edit(
        "engine/updates.ts",
        "resolve(found === undefined ? undefined : { ...found });",
        "resolve(found);",
      ),
    ],
  },
  {
    name: "left-update-waits-for-ever",
    claim: "The end of a run is no outcome of its updates.",
    invariants: [26],
    within: 40,
    edits: [edit("replay/update-states.ts", "      update.settledSeq = terminal.seq;\n", "")],
  },
  {
    name: "refused-update-recorded",
    claim: "An update that its validator refused is recorded all the same.",
    invariants: [26],
    within: 10,
    edits: [
      edit(
        "engine/resident-run.ts",
        "if (!answer.ok) return this.#refuse(input, decodeError(answer.refusal));",
        "if (!answer.ok) {\n      this.#record({ ...body }, this.#saidAt);\n      return this.#refuse(input, decodeError(answer.refusal));\n    }",
      ),
    ],
  },
  {
    name: "update-of-two-outcomes",
    claim: "The outcome of an update is recorded twice.",
    invariants: [26],
    within: 10,
    edits: [
      edit(
        "program/update-handlers.ts",
        "if (runtime.mayGoOn(`the end of ${what}`)) runtime.issue({ kind, updateId, result: payload });",
        "if (runtime.mayGoOn(`the end of ${what}`)) for (const _ of [1, 2]) runtime.issue({ kind, updateId, result: payload });",
      ),
    ],
  },
  {
    name: "stale-memory-kept",
    claim: "An engine that lost its ownership keeps its runs in memory.",
    invariants: [19],
    within: 100,
    edits: [
      edit(
        "engine/kernel.ts",
        'this.log("error", "the engine stopped", { code: error.code, error: error.message });\n    this.#forgetAll(error);',
        'this.log("error", "the engine stopped", { code: error.code, error: error.message });',
      ),
    ],
  },
  {
    name: "fence-dropped",
    claim: "The SQLite writer does not look at the epoch.",
    invariants: [16],
    within: 30,
    edits: [
      edit(
        "store/sqlite/owner.ts",
        "if (lease.isOwned && lease.epoch === epoch) return undefined;",
        "if (lease.isOwned || lease.epoch === epoch || epoch > 0) return undefined;",
      ),
    ],
  },
  {
    name: "fenced-by-lease",
    claim: "The SQLite writer takes a write of an earlier owner once the lease is over by that one's clock.",
    invariants: [16],
    within: 30,
    edits: [
      edit(
        "store/sqlite/writer.ts",
        '      if (refusal !== undefined) return { kind: "failed", error: refusal };\n      this.#owner.renewWhenDue',
        '      if (refusal !== undefined && batch.now <= owner.leaseUntil) return { kind: "failed", error: refusal };\n      this.#owner.renewWhenDue',
      ),
    ],
  },
  {
    name: "time-never-goes-back",
    claim: "What is due is judged by the latest instant that the engine has seen, and not by the clock.",
    invariants: [28, 30],
    within: 3000,
    edits: [
      edit(
        "engine/due.ts",
        "  return at !== undefined && at <= nowMs;\n}",
        `  latestMs = Math.max(latestMs, nowMs);
  return at !== undefined && at <= latestMs;
}

let latestMs = 0;`,
      ),
    ],
  },
  {
    name: "living-owner-replaced",
    claim: "A claim does not ask whether the owner is alive.",
    invariants: [17, 18],
    within: 10,
    edits: [
      edit(
        "store/sqlite/owner.ts",
        "if (current?.isAlive === true) throw",
        "if (current?.isAlive === true && now < 0) throw",
      ),
    ],
  },
  {
    name: "message-not-deleted",
    claim: "The SQLite writer leaves a message on disk that a commit has answered.",
    invariants: [22, 34],
    within: 30,
    edits: [
      edit(
        "store/sqlite/writer.ts",
        "for (const messageId of consume) this.#sql.deleteMessage.run(messageId);",
        "for (const messageId of consume.slice(1)) this.#sql.deleteMessage.run(messageId);",
      ),
    ],
  },
  {
    name: "wake-up-not-written",
    claim:
      "The SQLite writer leaves the instant at which a run is to be looked at as it was, if there was one.",
    invariants: [29],
    within: 10,
    edits: [
      edit(
        "store/sqlite/writer.ts",
        '"UPDATE runs SET head_seq = ?, wake_at = ? WHERE',
        '"UPDATE runs SET head_seq = ?, wake_at = coalesce(wake_at, ?) WHERE',
      ),
    ],
  },
  {
    name: "wake-up-of-open-attempt-lost",
    claim: "A run with an attempt under way is not marked to be taken up after a crash.",
    invariants: [8, 29],
    within: 10,
    edits: [
      edit(
        "engine/resident-run.ts",
        "batch.wakeAt = this.#needsEngine ? 0 : batch.armAt;",
        "batch.wakeAt = batch.armAt;",
      ),
    ],
  },
  {
    name: "wake-up-of-evicted-run-lost",
    claim: "A wake-up is dropped when its run is put away at that very moment.",
    invariants: [29],
    within: 30000,
    edits: [
      edit(
        "engine/kernel.ts",
        "if (run.isGone) return await this.#wake(workflowId);",
        "if (run.isGone) return;",
      ),
    ],
  },
  {
    name: "wake-up-not-armed",
    claim: "After a commit that changes when a run is due, nobody tells the queue of wake-ups.",
    invariants: [28, 29],
    within: 300,
    edits: [
      edit(
        "engine/kernel.ts",
        "      this.arm(run, batch.armAt);\n",
        "      if (batch.attempts.length > 0) this.arm(run, batch.armAt);\n",
      ),
    ],
  },
  {
    name: "timer-early",
    claim: "A timer fires a millisecond early.",
    invariants: [28],
    within: 10,
    edits: [
      edit("engine/due.ts", "consider(timer.fireAt);", "consider(timer.fireAt - 1);"),
      edit("engine/due.ts", "timer.fireAt <= nowMs);\n", "timer.fireAt - 1 <= nowMs);\n"),
      edit(
        "engine/due.ts",
        "isPast(now.timers.get(ordinal)?.fireAt, takenAt) ?",
        "isPast(now.timers.get(ordinal)?.fireAt, takenAt + 1) ?",
      ),
    ],
  },
  {
    name: "due-not-asked-again",
    claim: "A timer that was due before its run was read anew fires, although it is due later now.",
    invariants: [28],
    within: 3000,
    edits: [
      edit(
        "engine/due.ts",
        "isPast(now.timers.get(ordinal)?.fireAt, takenAt) ? {",
        "takenAt > 0 && now.timers.has(ordinal) ? {",
      ),
    ],
  },
  {
    name: "run-time-out-early",
    claim: "A run times out half a second before its deadline.",
    invariants: [28, 39],
    within: 300,
    edits: [
      edit(
        "engine/due.ts",
        "if (deadline !== undefined && deadline.at <= nowMs) {",
        "if (deadline !== undefined && deadline.at - 500 <= nowMs) {",
      ),
      edit(
        "engine/due.ts",
        "!isPast(runDeadline(now)?.at, takenAt)",
        "!isPast(runDeadline(now)?.at, takenAt + 500)",
      ),
    ],
  },
  {
    name: "backoff-forgotten-at-restart",
    claim: "An attempt that waits for its backoff begins at once when its run is brought back.",
    invariants: [10],
    within: 100,
    edits: [
      edit(
        "engine/due.ts",
        "if (activity.retryAt !== undefined && activity.retryAt > nowMs) return undefined;\n",
        "",
      ),
      edit(
        "engine/due.ts",
        "activity.parked === undefined && (activity.retryAt ?? 0) <= nowMs;",
        "activity.parked === undefined && nowMs > 0;",
      ),
    ],
  },
  {
    name: "one-attempt-too-many",
    claim: "An activity is tried once more than its policy allows.",
    invariants: [10],
    within: 10,
    edits: [edit("engine/attempt.ts", "failedCount >= retry.maxAttempts", "failedCount > retry.maxAttempts")],
  },
  {
    name: "final-failure-retried",
    claim: "A failure that is not to be retried is retried.",
    invariants: [10],
    within: 50,
    edits: [
      edit(
        "engine/attempt.ts",
        "bucketOf(failure, activity.options.retry)",
        "bucketOf({ ...failure, nonRetryable: false }, activity.options.retry)",
      ),
    ],
  },
  {
    name: "backoff-grows-too-fast",
    claim: "The first backoff is as long as the second should be.",
    invariants: [10],
    within: 30,
    edits: [
      edit("core/retry.ts", "retry.multiplier ** (failedCount - 1);", "retry.multiplier ** failedCount;"),
    ],
  },
  {
    name: "attempt-number-again",
    claim: "The attempt after a crash has the number of the one that the crash cut off.",
    invariants: [10],
    within: 30,
    edits: [
      edit(
        "engine/due.ts",
        "toStartedEvent(ordinal, attempt + 1, slot)",
        "toStartedEvent(ordinal, Math.max(1, activity.failedCount + 1), slot)",
      ),
    ],
  },
  {
    name: "retry-beyond-time-out",
    claim: "An attempt is planned for after the time-out of the whole activity.",
    invariants: [10, 39],
    within: 300,
    edits: [
      edit(
        "engine/attempt.ts",
        "return isTooLate ? undefined : retryAt;",
        "return isTooLate && retryAt < 0 ? undefined : retryAt;",
      ),
    ],
  },
  {
    name: "slot-not-given-back",
    claim: "The slot of an attempt whose start was refused by the store is never given back.",
    invariants: [21, 29],
    within: 300,
    edits: [
      edit(
        "engine/resident-run.ts",
        "    for (const attempt of this.#batch?.attempts ?? []) this.#host.release(this, attempt);\n",
        "    if ((this.#batch?.attempts.length ?? 0) > 1)\n      for (const attempt of (this.#batch?.attempts ?? []).slice(0, 1)) this.#host.release(this, attempt);\n",
      ),
    ],
  },
  {
    name: "cancel-of-attempt-not-forwarded",
    claim: "An attempt under way is not told that its activity was cancelled.",
    invariants: [38],
    within: 30,
    edits: [edit("engine/resident-run.ts", "        batch.cancelled.push(command.ordinal);\n", "")],
  },
  {
    name: "cancel-of-child-not-forwarded",
    claim: "The cancellation of a child is recorded, and the child not told.",
    invariants: [38],
    within: 300,
    edits: [
      edit(
        "engine/command-message.ts",
        "const parent = { ...link, runId: child.parentRunId };",
        "const parent = { ...link, runId: child.parentRunId, ordinal: link.ordinal + 1 };",
      ),
    ],
  },
  {
    name: "signal-heard-twice",
    claim: "The id of a signal is not looked at.",
    invariants: [22],
    within: 10,
    edits: [
      edit(
        "engine/signals.ts",
        "isRepeated = signalId !== undefined && state.requests.hasSignal(signalId);",
        'isRepeated = signalId !== undefined && signalId === "" && state.requests.hasSignal(signalId);',
      ),
    ],
  },
  {
    name: "signal-ids-forgotten",
    claim: "The ids of signals are not handed on when a run continues as new.",
    invariants: [22, 24],
    within: 1000,
    edits: [
      edit(
        "engine/successor.ts",
        "const { signalIds, cancelRequestIds, controlRequestIds } = state.requests.recent();",
        "const { cancelRequestIds, controlRequestIds } = state.requests.recent();\n  const signalIds: readonly string[] = [];",
      ),
    ],
  },
  {
    name: "signals-lost-at-continue-as-new",
    claim: "Signals that a run has not asked for are lost when it continues as new.",
    invariants: [24],
    within: 100,
    edits: [
      edit(
        "engine/resident-run.ts",
        "unconsumed: this.instance?.unconsumedSignals() ?? [],",
        "unconsumed: this.instance?.unconsumedSignals().slice(1) ?? [],",
      ),
    ],
  },
  {
    name: "signal-with-start-drops-signal",
    claim: "A start with a signal that meets a run which is there forgets the signal.",
    invariants: [25],
    within: 30,
    edits: [
      edit(
        "engine/starts.ts",
        "await deliverSignal(this.#kernel, workflowId, runId, signal, trace);\n      return reply;",
        "return reply;",
      ),
    ],
  },
  {
    name: "request-id-ignored",
    claim: "A start that is repeated with its request id may give another run than before.",
    invariants: [5],
    within: 100,
    edits: [
      edit(
        "engine/starts.ts",
        "if (requested !== undefined) {\n        this.#demandSame(",
        'if (requested !== undefined && request.requestId === "") {\n        this.#demandSame(',
      ),
      edit(
        "engine/starts.ts",
        "if (signalId !== undefined && (await hasReceived(this.#kernel.store, workflowId, runId, signalId)))\n      return reply;",
        "void signalId;",
      ),
    ],
  },
  {
    name: "continued-as-nothing",
    claim: "A run that continues as new is ended in one commit, and its successor begun in none.",
    invariants: [36],
    within: 100,
    edits: [edit("engine/run-commit.ts", "    commit.start = next;\n", "")],
  },
  {
    name: "close-policy-twice",
    claim: "Children are told twice that their parent has ended.",
    invariants: [35],
    within: 100,
    edits: [
      edit(
        "engine/closing.ts",
        '    if (parentClosePolicy === "abandon") continue;\n',
        `    if (parentClosePolicy === "abandon") continue;
    if (parentClosePolicy === "terminate") {
      const parentLink = { workflowId, runId: started.runId, ordinal };
      messages.push({ target: childWorkflowId, message: { kind: "terminate", reason, parent: parentLink } });
    }
`,
      ),
    ],
  },
  {
    name: "abandoned-child-ended",
    claim: "A child that is to be left alone is told to end with its parent.",
    invariants: [35],
    within: 300,
    edits: [edit("engine/closing.ts", '    if (parentClosePolicy === "abandon") continue;\n', "")],
  },
  {
    name: "child-outcome-dropped",
    claim: "The outcome of a child is told to its parent only if the child completed or failed.",
    invariants: [34],
    within: 1000,
    edits: [
      edit("engine/closing.ts", 'return { type: "ChildWorkflowTimedOut" };', "return undefined;"),
      edit(
        "engine/closing.ts",
        'return terminal.resetTo === undefined ? { type: "ChildWorkflowTerminated" } : undefined;',
        "return undefined;",
      ),
    ],
  },
  {
    name: "messages-not-taken-up",
    claim: "Messages that were under way when an engine died are not taken up by the next.",
    invariants: [22, 34],
    within: 100,
    edits: [edit("engine/kernel.ts", "    await this.mailbox.list();\n", "")],
  },
  {
    name: "message-answered-unheard",
    claim: "A message to a run that continues as new meanwhile is taken for delivered.",
    invariants: [24, 34],
    within: 10000,
    edits: [
      edit(
        "engine/mailbox.ts",
        "if (latest !== undefined && !isClosed(latest.status))\n        return this.#offer(target, messageId, toEvent, replies, refusal);",
        "void latest;",
      ),
    ],
  },
  {
    name: "heartbeat-not-restored",
    claim: "The details of heartbeats do not reach the attempt after a crash.",
    invariants: [14],
    within: 1000,
    edits: [
      edit(
        "engine/heartbeat-keeper.ts",
        "if (state.activities.size === 0) return;",
        "if (state.activities.size < 1_000) return;",
      ),
    ],
  },
  {
    name: "replay-draws-anew",
    claim: "Replay runs the closures of recorded values again.",
    invariants: [42],
    within: 30,
    edits: [
      edit(
        "replay/replay.ts",
        'if (event.type !== "SideEffectRecorded") return [];',
        'if (event.type !== "SideEffectRecorded" || event.ordinal === 0) return [];',
      ),
    ],
  },
  {
    name: "replay-shows-another-time",
    claim: "What the code takes for the time is a millisecond later when it is replayed.",
    invariants: [41, 45],
    within: 300,
    edits: [edit("replay/replay.ts", "nowMs: input.recordedAt,", "nowMs: input.recordedAt + 1,")],
  },
  {
    name: "query-before-commit",
    claim: "A run is asked while its commit is under way, and answers from what is not on disk.",
    invariants: [9, 27],
    within: 500,
    edits: [
      edit(
        "engine/queries.ts",
        "      run.ask(() => {\n        if (run.isGone",
        "      queueMicrotask(() => {\n        if (run.isGone",
      ),
    ],
  },
  {
    name: "busy-store-blocks-runs",
    claim: "A run that cannot be read because the store is busy is held, and not tried again.",
    invariants: [11, 29],
    within: 10000,
    edits: [
      edit(
        "engine/run-loader.ts",
        'return error.code === "store_unavailable" || isOthersFault(error);',
        "return isOthersFault(error);",
      ),
    ],
  },
  {
    name: "end-after-the-end",
    claim: "A run that has ended is ended once more.",
    invariants: [37],
    within: 30,
    edits: [
      edit(
        "engine/endings.ts",
        "          if (isClosed(row.status)) {\n            throw",
        '          if (row.status === "continued-as-new") {\n            throw',
      ),
      edit("engine/endings.ts", "    if (state.isClosed) throw runEnded(row.workflowId, row.runId);\n", ""),
    ],
  },
  {
    name: "deletes-though-replaced",
    claim: "The SQLite writer deletes closed runs for an engine that no longer owns the store.",
    invariants: [20, 16],
    within: 30,
    edits: [
      edit(
        "store/sqlite/writer.ts",
        "    this.#owner.check(of.epoch, of.now);\n    const closed",
        "    const closed",
      ),
    ],
  },
  {
    name: "deletes-too-young",
    claim: "Retention takes the age of a run for a time that it still has.",
    invariants: [20],
    within: 100,
    edits: [edit("engine/retention.ts", "kernel.now() - ageMs", "kernel.now() + ageMs")],
  },
  {
    name: "deletes-open-runs",
    claim: "Retention deletes all runs of an id of which one has closed and is old enough, the open one too.",
    invariants: [20],
    within: 300,
    edits: [
      edit(
        "store/sqlite/writer.ts",
        "(earlier.closed_at IS NULL OR earlier.closed_at >= ?1))\n",
        "(earlier.closed_at >= ?1))\n",
      ),
      edit(
        "store/sqlite/writer.ts",
        'selectFirstRun: "SELECT run_key FROM runs WHERE workflow_id = ? ORDER BY first_seq LIMIT 1"',
        'selectFirstRun: "SELECT run_key FROM runs WHERE workflow_id = ? ORDER BY first_seq DESC LIMIT 1"',
      ),
    ],
  },
  {
    name: "deleted-run-taken-for-broken",
    claim: "A run that is deleted while it is read is told to be damaged.",
    invariants: [20],
    within: 1000,
    edits: [
      edit(
        "engine/load.ts",
        "if ((await store.findRunByKey(runKey)) !== undefined) return;",
        "if (runKey >= 0 || (await store.findRunByKey(runKey)) !== undefined) return;",
      ),
    ],
  },
  {
    name: "conflict-taken-for-success",
    claim: "A PostgreSQL backend swallows 40001 and 40P01: its caller takes the append for made.",
    invariants: [1, 3, 52],
    within: 30,
    edits: [
      editOfSim(
        "store-link.ts",
        "        if (fault !== undefined) {\n",
        `        if (fault !== undefined && name === "append" && judgePostgres(fault) === "again") {
          const swallowed = (args[1] as readonly Commit[]).map(() => ({ ok: true, messageIds: [] }));
          answer("swallowed", () => resolve(swallowed));
          return;
        }
        if (fault !== undefined) {
`,
      ),
    ],
  },
  {
    name: "cut-at-commit-taken-for-refusal",
    claim: "A PostgreSQL backend says of a connection that was cut at the commit that nothing was written.",
    invariants: [6, 52],
    within: 300,
    edits: [
      editOfSim(
        "postgres-errors.ts",
        'moment === "commit" ? "commit_unknown" : "store_unavailable"',
        '"store_unavailable"',
      ),
    ],
  },
  {
    name: "unknown-told-too-early",
    claim: "A PostgreSQL backend says that an outcome is unknown while the server may still commit.",
    invariants: [6, 52],
    within: 1000,
    edits: [
      editOfSim(
        "store-link.ts",
        "    const isMade = dice.chance(0.5);\n",
        "    refuse(verdict);\n    const isMade = dice.chance(0.5);\n",
      ),
    ],
  },
  {
    name: "held-run-not-timed-out",
    claim: "The time-out of a run whose code is missing is not seen to.",
    invariants: [39],
    within: 2000,
    edits: [
      edit(
        "engine/blocked-runs.ts",
        "    if (deadline.at > host.now()) host.wakeAt(workflowId, deadline.at);\n    else await",
        "    if (deadline.at <= host.now()) await",
      ),
    ],
  },
  {
    name: "held-run-forgotten",
    claim:
      "A run whose code is missing is not marked to be tried again when the engine is opened the next time.",
    invariants: [29, 39],
    within: 300,
    edits: [
      edit(
        "engine/blocked-runs.ts",
        'wakeAt: blocked === null || status === "paused" ? wakeAt : 0,',
        'wakeAt: blocked === null || status === "paused" ? wakeAt : null,',
      ),
    ],
  },
  {
    name: "time-out-needs-implementation",
    claim: "An activity that has no implementation here, and was never begun, is not timed out.",
    invariants: [39],
    within: 1000,
    edits: [
      edit(
        "engine/due.ts",
        "    consider(activityDeadlineAt(activity));\n",
        "    if (activity.attempt > 0) consider(activityDeadlineAt(activity));\n",
      ),
    ],
  },
  {
    name: "shield-leaks",
    claim: "A cancellation from outside reaches what is in a shield.",
    invariants: [38],
    within: 300,
    edits: [
      edit(
        "program/scope-context.ts",
        "const shielded = new ScopeContext(this.#runtime, new CancellationScope(undefined), this.looker);",
        "const shielded = new ScopeContext(this.#runtime, new CancellationScope(this.cancellation), this.looker);",
      ),
    ],
  },
  {
    name: "compensations-first-to-last",
    claim: "Compensations run in the order in which they were registered.",
    invariants: [38],
    within: 300,
    edits: [
      edit(
        "program/runtime.ts",
        "undo = this.compensations.pop(); undo !== undefined; undo = this.compensations.pop()",
        "undo = this.compensations.shift(); undo !== undefined; undo = this.compensations.shift()",
      ),
    ],
  },
  {
    name: "compensations-all-at-once",
    claim: "Compensations do not wait for one another.",
    invariants: [38],
    within: 300,
    edits: [
      edit(
        "program/runtime.ts",
        "          await undo();\n",
        "          void Promise.resolve(undo()).catch(() => undefined);\n          await Promise.resolve();\n",
      ),
    ],
  },
  {
    name: "compensations-that-come-late-dropped",
    claim: "What a branch that was left behind registers while compensations run is not undone.",
    invariants: [38],
    within: 3000,
    edits: [
      edit(
        "program/runtime.ts",
        "      for (let undo = this.compensations.pop(); undo !== undefined; undo = this.compensations.pop()) {\n",
        "      for (const undo of this.compensations.splice(0).toReversed()) {\n",
      ),
      edit(
        "program/runtime.ts",
        "while (this.compensations.length > 0) await",
        "if (this.compensations.length > 0) await",
      ),
    ],
  },
  {
    name: "compensations-skipped-by-cancel",
    claim: "A run that is cancelled does not run its compensations.",
    invariants: [38],
    within: 300,
    edits: [
      edit(
        "program/runtime.ts",
        "      if (continuation === undefined) while",
        "      if (continuation === undefined && !this.#isCancelRequested) while",
      ),
    ],
  },
  {
    name: "sent-by-deleted-run-forgotten",
    claim:
      "What the last commit of a run sent is forgotten if the run is deleted while that commit is looked for.",
    invariants: [6, 34],
    within: 3000,
    edits: [
      edit(
        "engine/kernel.ts",
        '    if (error.code === "commit_unknown" && batch.send.length > 0) this.mailbox.listAgain();\n',
        "",
      ),
    ],
  },
  {
    name: "looked-up-while-begun",
    claim: "A run is looked up on disk, and acted on there, while its first commit is under way.",
    invariants: [17, 37],
    within: 3000,
    edits: [
      edit("engine/door.ts", "    if (unborn !== undefined) return atRest(unborn);\n", ""),
      edit(
        "engine/door.ts",
        "if (!runs.has(workflowId) && !unborn.has(workflowId)) return await",
        "if (!runs.has(workflowId)) return await",
      ),
    ],
  },
  {
    name: "acted-on-by-two",
    claim: "Two act on what the disk has of one workflow at the same time.",
    invariants: [17, 37],
    within: 10000,
    edits: [
      edit("engine/door.ts", "    if (visit !== undefined) return visit;\n", ""),
      edit(
        "engine/residency.ts",
        "this.#door.isVisited(workflowId) && !this.#runs.has(workflowId),",
        "true,",
      ),
    ],
  },
  {
    name: "attempts-in-a-pause",
    claim: "An attempt begins though its run is paused.",
    invariants: [58],
    within: 300,
    edits: [
      edit(
        "engine/due.ts",
        "activity === undefined || activity.startedAt !== undefined || state.pausing.holdsAttempts",
        "activity === undefined || activity.startedAt !== undefined",
      ),
      edit("engine/due.ts", " || state.pause !== undefined) return inputs;", ") return inputs;"),
    ],
  },
  {
    name: "told-backwards",
    claim: "What was recorded in a pause is told with the last first.",
    invariants: [58],
    within: 300,
    edits: [
      edit(
        "replay/pause-state.ts",
        "this.#held.push({ seq, delivery });",
        "this.#held.unshift({ seq, delivery });",
      ),
    ],
  },
  {
    name: "left-in-the-pause",
    claim: "Activities that stood in line when their run was paused do not do so again after it.",
    invariants: [58],
    within: 1000,
    edits: [
      edit(
        "engine/kernel.ts",
        "      run.offerAll(this.dueInputs(run));\n      return;\n",
        "      return;\n",
      ),
    ],
  },
  {
    name: "pause-repeated",
    claim: "A request to pause that is made again pauses again.",
    invariants: [20, 58],
    within: 1000,
    edits: [
      edit(
        "engine/pausing.ts",
        "isRepeated = requestId !== undefined && state.requests.hasControl(kind, requestId);",
        "isRepeated = false;",
      ),
    ],
  },
  {
    name: "cancelled-in-a-pause-unheard",
    claim: "A run that is cancelled while it is paused stays paused, and is never told.",
    invariants: [58],
    within: 300,
    edits: [
      edit(
        "engine/resident-run.ts",
        'this.#record({ type: "WorkflowResumed", reason: "it was asked to stop" }, nowMs);',
        "return false;",
      ),
    ],
  },
  {
    name: "cancellation-not-taken-back",
    claim: "Of a cancelled run only its end is void when it is reopened.",
    invariants: [59],
    within: 30,
    edits: [edit("engine/reopening.ts", '    case "WorkflowCancelRequested":\n', "")],
  },
  {
    name: "success-taken-back",
    claim: "A reopening voids what succeeded last, too.",
    invariants: [8, 59],
    within: 30,
    edits: [
      edit(
        "engine/reopening.ts",
        '    case "ActivityFailed":\n',
        '    case "ActivityFailed":\n    case "ActivityCompleted":\n',
      ),
    ],
  },
  {
    name: "failure-after-deeds-taken-back",
    claim: "A failure is taken back though the code has done something about it.",
    invariants: [59],
    within: 30,
    edits: [
      edit("engine/reopening.ts", "    if (stays !== undefined) return { voids, stays };\n", ""),
      edit("engine/reopening.ts", "  await tryReplay(kernel, row, [...events, reopened], stays);\n", ""),
    ],
  },
  {
    name: "reopened-without-a-trial",
    claim: "A run is reopened without trying whether its code would end at once again.",
    invariants: [59],
    within: 30,
    edits: [
      edit("engine/reopening.ts", "  await tryReplay(kernel, row, [...events, reopened], stays);\n", ""),
    ],
  },
  {
    name: "end-of-child-not-told-again",
    claim: "A reopened run is not told of a child that has ended while it was closed.",
    invariants: [34, 59],
    within: 300,
    edits: [
      edit(
        "engine/reopening.ts",
        "    if (message !== undefined) send.push({ target: workflowId, message });",
        "",
      ),
    ],
  },
  {
    name: "attempts-not-given-anew",
    claim: "An activity of a reopened run has the attempts that were left.",
    invariants: [10, 59],
    within: 30,
    edits: [
      edit(
        "replay/open-activity.ts",
        "    scheduledAt: nowMs,\n    startedAt: undefined,\n    worker: undefined,\n    failedCount: 0,\n",
        "    scheduledAt: nowMs,\n    startedAt: undefined,\n    worker: undefined,\n",
      ),
    ],
  },
  {
    name: "details-lost-by-reopening",
    claim: "The details that the last attempt left do not count when its failure is taken back.",
    invariants: [14, 59],
    within: 100,
    edits: [
      edit("replay/run-state.ts", "      noteDetails(this.#activityOf(event), event);\n", "      return;\n"),
    ],
  },
  {
    name: "reopening-repeated",
    claim: "A request to reopen that was made before is taken for another one.",
    invariants: [20, 59],
    within: 30,
    edits: [
      edit(
        "engine/reopening.ts",
        'const isKnown = await wasRequested(kernel.store, { kind: "reopen", workflowId, runId, requestId });',
        "const isKnown = false;",
      ),
    ],
  },
  {
    name: "reopened-run-not-brought-back",
    claim: "The row of a reopened run does not say that somebody has to bring it back.",
    invariants: [29, 59],
    within: 30,
    edits: [edit("engine/reopening.ts", "      wakeAt: 0,\n", "      wakeAt: null,\n")],
  },
  {
    name: "time-not-given-anew",
    claim: "A run that ran into its time-out has the old instant when it is reopened.",
    invariants: [59],
    within: 300,
    edits: [
      edit(
        "engine/time-anew.ts",
        "...(isOver(runDeadlineAt) &&",
        "...(nowMs < 0 && isOver(runDeadlineAt) &&",
      ),
    ],
  },
  {
    name: "held-in-a-pause-forgotten-by-reopening",
    claim: "What was recorded in a pause in which the run ended is not told after it was reopened.",
    invariants: [58, 59],
    within: 300,
    edits: [
      edit(
        "replay/run-state.ts",
        "    this.pausing.end();\n    const owner",
        "    Object.assign(this, { pausing: new PauseState() });\n    const owner",
      ),
    ],
  },
  {
    name: "beyond-its-limit",
    claim: "What a run asks for is recorded though it is more than a run may have.",
    invariants: [57],
    within: 300,
    edits: [
      edit(
        "engine/run-limits.ts",
        "      if (count > max) return this.#reached(state, limit, `${count} ${what}`);\n",
        "",
      ),
    ],
  },
  {
    name: "held-for-a-limit-for-ever",
    claim: "A run that is held for a limit is not tried again by an engine with a larger one.",
    invariants: [29, 57],
    within: 300,
    edits: [
      edit(
        "engine/blocked-runs.ts",
        'wakeAt: blocked === null || status === "paused" ? wakeAt : 0,',
        'wakeAt: blocked === null || status === "paused" || blocked.startsWith("run_limit") ? null : 0,',
      ),
    ],
  },
  {
    name: "message-lost-in-the-hold",
    claim: "What comes for a run that is held for a limit is taken for delivered.",
    invariants: [22, 34, 57],
    within: 1000,
    edits: [
      edit(
        "engine/mailbox.ts",
        '        if (isAionError(error) && error.code === "run_blocked") {\n',
        '        if (isAionError(error) && error.code === "run_blocked" && error.message.includes("may have")) {\n          await this.#settle({ consume: [message.messageId], send: [] });\n          remove(line, message);\n          continue;\n        }\n        if (isAionError(error) && error.code === "run_blocked") {\n',
      ),
    ],
  },
  {
    name: "failed-for-a-limit-and-held",
    claim: "An engine that is to fail what goes beyond a limit holds it.",
    invariants: [57],
    within: 30,
    edits: [
      edit(
        "engine/kernel.ts",
        "const policy = isLimit ? this.options.onRunLimit : this.options.onNondeterminism;",
        'const policy = isLimit ? "block" : this.options.onNondeterminism;',
      ),
    ],
  },
  {
    name: "failed-for-a-limit-unheard",
    claim: "A run that is failed for a limit tells nobody that it has ended.",
    invariants: [34, 35, 57],
    within: 1000,
    edits: [
      edit(
        "engine/closing.ts",
        "  const messages: OutgoingMessage[] = [];\n  const { parent } = state.started;\n",
        '  const messages: OutgoingMessage[] = [];\n  if (terminal.type === "WorkflowFailed" && terminal.failure.type === "run_limit") return messages;\n  const { parent } = state.started;\n',
      ),
    ],
  },
  {
    name: "attributes-of-an-end-forgotten",
    claim: "What code sets in the turn in which it ends is in its history, and the run is not found by it.",
    invariants: [63],
    within: 100,
    edits: [
      edit(
        "engine/run-commit.ts",
        "if (batch.hasAttributes && state.attributes !== undefined)",
        "if (batch.hasAttributes && state.attributes !== undefined && terminal === undefined)",
      ),
    ],
  },
  {
    name: "attributes-lost-at-continue-as-new",
    claim: "A run that continues another one begins without what that one was found by.",
    invariants: [36, 63],
    within: 100,
    edits: [
      edit(
        "engine/successor.ts",
        "state.attributes === undefined || Object.keys(state.attributes).length === 0",
        "state.attributes === undefined || Object.keys(state.attributes).length >= 0",
      ),
    ],
  },
  {
    name: "attributes-kept-over-reopening",
    claim: "A run that is reopened is found by what its code said on the way to its end.",
    invariants: [59, 63],
    within: 3000,
    edits: [edit("engine/reopening.ts", "...(isFoundAgain ? {", "...(isFoundAgain && now < 0 ? {")],
  },
  {
    name: "attributes-added-in-the-store",
    claim: "The SQLite writer leaves attributes that a run has no longer.",
    invariants: [63],
    within: 100,
    edits: [
      edit(
        "store/sqlite/attributes.ts",
        "    this.delete(runKey);\n    this.insert(runKey, text);",
        "    this.insert(runKey, text);",
      ),
      edit("store/sqlite/attributes.ts", '"INSERT INTO attributes', '"INSERT OR REPLACE INTO attributes'),
    ],
  },
  {
    name: "page-begins-at-its-cursor",
    claim: "A page of runs that are found by attributes begins with the last run of the page before.",
    invariants: [63],
    within: 100,
    edits: [
      edit(
        "store/sqlite/reader.ts",
        "    let end = beforeKey ?? Number.MAX_SAFE_INTEGER;",
        "    let end = filter.attributes === undefined ? (beforeKey ?? Number.MAX_SAFE_INTEGER) : (beforeKey ?? 1e15) + 1;",
      ),
    ],
  },
  {
    name: "parked-begins-by-itself",
    claim: "An activity that waits for an operator begins when its run is looked at.",
    invariants: [60],
    within: 10,
    edits: [
      edit("engine/due.ts", "activity.parked === undefined && (activity.retryAt", "(activity.retryAt"),
      edit("engine/due.ts", "      if (activity.parked !== undefined) return undefined;\n", ""),
    ],
  },
  {
    name: "parked-count-kept",
    claim: "An activity that is resumed has no fresh count of attempts.",
    invariants: [60],
    within: 100,
    edits: [
      edit(
        "replay/open-activity.ts",
        "  activity.failedCount = 0;\n  activity.retryAt = at;",
        "  activity.retryAt = at;",
      ),
    ],
  },
  {
    name: "decision-forgotten",
    claim: "An operator's decision that is made again is not known.",
    invariants: [60],
    within: 10,
    edits: [
      edit(
        "replay/run-state.ts",
        '        this.requests.noteControl("resume-activity", event.requestId);\n        for',
        "        for",
      ),
    ],
  },
  {
    name: "parked-row-stale",
    claim: "An activity that is given its outcome stays on the row as one that waits for an operator.",
    invariants: [60],
    within: 10,
    edits: [
      edit(
        "replay/run-state.ts",
        "    if (activity.parked !== undefined) this.#parkedSeq = event.seq;\n",
        "",
      ),
    ],
  },
  {
    name: "parked-row-beyond-end",
    claim: "A run that has ended is shown to wait for an operator.",
    invariants: [60],
    within: 50,
    edits: [
      edit("replay/run-state.ts", "    if (this.parked.length > 0) this.#parkedSeq = terminal.seq;\n", ""),
    ],
  },
  {
    name: "type-that-parks-unread",
    claim: "A failure of a type that its policy parks is tried again, or final, as the failure itself says.",
    invariants: [60],
    within: 10,
    edits: [
      edit(
        "core/retry.ts",
        'if (failure.park === true || isIn(retry?.park)) return "park";',
        'if (failure.park === true) return "park";',
      ),
    ],
  },
  {
    name: "resumed-and-left",
    claim: "Nobody looks at an activity that was resumed.",
    invariants: [29, 60],
    within: 10,
    edits: [
      edit(
        "replay/open-activity.ts",
        "  activity.failedCount = 0;\n  activity.retryAt = at;",
        "  activity.failedCount = 0;\n  void at;",
      ),
    ],
  },
  {
    name: "parked-begins-with-a-reopening",
    claim: "An activity that waits for an operator begins when its run is reopened.",
    invariants: [59, 60],
    within: 110,
    edits: [
      edit(
        "replay/open-activity.ts",
        "    scheduledAt: nowMs,\n",
        "    scheduledAt: nowMs,\n    parked: undefined,\n",
      ),
    ],
  },
  {
    name: "decision-on-what-is-not-parked",
    claim: "An operator decides on activities that do not wait for him, since they did when he asked.",
    invariants: [60],
    within: 30,
    edits: [
      edit(
        "engine/resuming.ts",
        "  const parked = state.parked.filter(\n",
        "  const parked = [...state.activities.values()].filter(\n",
      ),
    ],
  },
  {
    name: "limits-hold-schedules",
    claim: "The limits of a run hold the coordinator of a schedule.",
    invariants: [32, 57],
    within: 1000,
    edits: [edit("engine/run-limits.ts", "if (isCoordinatorId(workflowId)) return undefined;", "")],
  },
  {
    name: "refused-start-not-told",
    claim: "A schedule does not hear that what it started could not be.",
    invariants: [32, 34],
    within: 400,
    edits: [
      edit(
        "engine/mailbox.ts",
        'send: [{ target: workflowId, message: { kind: "scheduled-refused", ...of, reason, message: why } }],',
        'send: reason === undefined ? [{ target: workflowId, message: { kind: "scheduled-refused", ...of, reason, message: why } }] : [],',
      ),
    ],
  },
  {
    name: "wake-up-of-schedule-lost",
    claim: "The row of a schedule does not tell when its next time is due.",
    invariants: [29, 32],
    within: 30,
    edits: [
      edit(
        "engine/coordinator.ts",
        "return at === null ? null : Math.max(at, atOnce);",
        "return at === null ? null : Math.max(at, atOnce) + 60_000;",
      ),
    ],
  },
  {
    name: "report-acknowledged-before-commit",
    claim: "A worker is told that its report is recorded when it has arrived.",
    invariants: [7],
    within: 30,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "    lease.isReported = true;\n",
        '    lease.isReported = true;\n    worker.link?.send({ type: "acknowledged", token, became: "recorded" });\n',
      ),
    ],
  },
  {
    name: "report-not-kept",
    claim: "A worker forgets a report once it was sent.",
    invariants: [11, 13],
    within: 300,
    isOfWorkers: true,
    edits: [edit("worker/worker.ts", "    this.#unacknowledged.set(token, report);\n", "")],
  },
  {
    name: "credit-of-timed-out-attempt-kept",
    claim: "The credit of an attempt that timed out is never given back to its worker.",
    invariants: [13],
    within: 100,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "    if (!this.#end(lease)) return;\n    const { random } = this.#ports;\n    const toEvent = ifCurrent(lease, (activity, nowMs) =>\n      toTimedOutEvent",
        "    if (!this.#end(lease)) return;\n    if (lease.worker !== undefined) lease.worker.underWay += 1;\n    const { random } = this.#ports;\n    const toEvent = ifCurrent(lease, (activity, nowMs) =>\n      toTimedOutEvent",
      ),
    ],
  },
  {
    name: "one-task-too-many",
    claim: "A worker is given one task more than it has room for.",
    invariants: [13],
    within: 100,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/worker-session.ts",
        "return capacity - underWay - unsettled.size;",
        "return capacity + 1 - underWay - unsettled.size;",
      ),
    ],
  },
  {
    name: "adopted-attempts-not-counted",
    claim:
      "Attempts that workers had before the engine was restarted do not count against the limit of their queue.",
    invariants: [13],
    within: 300,
    isOfWorkers: true,
    edits: [edit("engine/workers.ts", "    this.slots.force(lease.taskQueue);\n", "")],
  },
  {
    name: "queue-rate-halved",
    claim: "An attempt takes half of a right of its queue.",
    invariants: [13],
    within: 100,
    isOfWorkers: true,
    edits: [edit("engine/task-queues.ts", "queue.rights -= 1;", "queue.rights -= 0.5;")],
  },
  {
    name: "cancel-not-told-to-worker",
    claim: "A worker is not told that an attempt was cancelled.",
    invariants: [38],
    within: 1000,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        'if (lease.unsent === undefined) this.#tell(lease, "requested");',
        "if (lease.unsent === undefined) return;",
      ),
    ],
  },
  {
    name: "cancel-not-told-again",
    claim: "A cancellation that came while a worker was cut off is not told when it comes back.",
    invariants: [38],
    within: 15000,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "if (lease.isCancelRequested && !lease.isReported && lease.unsent === undefined)",
        "if (lease.isCancelRequested && !lease.isReported && lease.unsent !== undefined)",
      ),
    ],
  },
  {
    name: "lost-worker-keeps-its-tasks",
    claim: "The attempts of a worker that is lost stay open.",
    invariants: [11],
    within: 30,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "    for (const lease of [...worker.leases.values()]) this.#lose(lease, how);\n",
        "",
      ),
    ],
  },
  {
    name: "loss-counted",
    claim: "The loss of a worker counts as a failure of the activity.",
    invariants: [11],
    within: 30,
    isOfWorkers: true,
    edits: [edit("engine/attempt.ts", "    lost: how,\n", "")],
  },
  {
    name: "next-engine-has-no-patience",
    claim: "An engine takes the workers of the one before it for lost at once.",
    invariants: [11, 13],
    within: 300,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "this.#ports.scheduler.delay(isHere ? 0 : sessionTimeoutMs, () => {",
        "this.#ports.scheduler.delay(0, () => {",
      ),
    ],
  },
  {
    name: "told-to-stop-while-code-is-missing",
    claim: "A worker that comes back is told to stop what it does for a run whose code is missing.",
    invariants: [11, 13],
    within: 300,
    isOfWorkers: true,
    edits: [
      edit("engine/workers.ts", "(this.#isOver(token) ? stop : unsure).push(token);", "stop.push(token);"),
    ],
  },
  {
    name: "heartbeat-of-worker-lost",
    claim: "The details that an attempt left are not handed to the next one on a worker.",
    invariants: [14],
    within: 100,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/task-lease.ts",
        "      ...(heartbeat === undefined ? {} : { lastHeartbeat: heartbeat }),\n",
        "",
      ),
    ],
  },
  {
    name: "any-queue-will-do",
    claim: "A worker is given tasks of queues that it does not serve.",
    invariants: [13],
    within: 30,
    isOfWorkers: true,
    edits: [edit("engine/worker-session.ts", "worker.taskQueues.has(taskQueue) && worker", "worker")],
  },
  {
    name: "drain-ignored",
    claim: "A worker that drains is given tasks.",
    invariants: [13],
    within: 1000,
    isOfWorkers: true,
    edits: [
      edit("engine/worker-session.ts", "    !worker.isDraining &&\n    !worker.isOver", "    !worker.isOver"),
    ],
  },
  {
    name: "late-report-taken",
    claim: "A report counts for the attempt under way, whichever it was told of.",
    invariants: [12],
    within: 1000,
    isOfWorkers: true,
    edits: [
      edit(
        "engine/workers.ts",
        "    if (lease.attempt !== claim.attempt || lease.address.workflowId !== claim.address.workflowId)\n      return undefined;\n",
        "",
      ),
      edit("engine/workers.ts", "    if (lease.token !== token) return undefined;", "    return lease;"),
    ],
  },
  {
    name: "attempt-of-the-lease-before-goes-on",
    claim: "An attempt that a worker had when its run ended counts as under way when the run is reopened.",
    invariants: [12, 59],
    within: 30,
    isOfWorkers: true,
    edits: [
      edit(
        "replay/open-activity.ts",
        "    scheduledAt: nowMs,\n    startedAt: undefined,\n    worker: undefined,\n",
        "    scheduledAt: nowMs,\n",
      ),
    ],
  },
  {
    name: "time-started-twice",
    claim: "A time of a schedule that was started is not taken for decided.",
    invariants: [32],
    within: 30,
    isOfSchedules: true,
    edits: [
      edit(
        "core/schedule-state.ts",
        "...(isTime ? { cursorAt: nominalAt } : {}),",
        "...(isTime ? { cursorAt: nominalAt - 1 } : {}),",
      ),
    ],
  },
  {
    name: "cursor-set-back",
    claim: "Resuming a schedule after its clock was set back forgets what was decided.",
    invariants: [32],
    within: 30,
    isOfSchedules: true,
    edits: [
      edit(
        "core/schedule-state.ts",
        "this.#snapshot = { ...rest, cursorAt: Math.max(rest.cursorAt, event.fromAt) };",
        "this.#snapshot = { ...rest, cursorAt: event.fromAt };",
      ),
    ],
  },
  {
    name: "skipped-without-a-record",
    claim:
      "Times that came while a schedule was paused are passed over when it is resumed, and nothing is recorded.",
    invariants: [32],
    within: 30,
    isOfSchedules: true,
    edits: [edit("engine/schedules.ts", "if (!isWanted(schedule)) return undefined;", "return undefined;")],
  },
  {
    name: "pause-of-no-effect-forgotten",
    claim:
      "A pause of a schedule that is paused, or a resume of one that is not, is not recorded, and so not known again.",
    invariants: [3],
    within: 30,
    isOfSchedules: true,
    edits: [edit("engine/schedules.ts", "return requestId === undefined;", "return requestId !== null;")],
  },
  {
    name: "window-ignored",
    claim: "A time is started however long ago it was.",
    invariants: [33],
    within: 30,
    isOfSchedules: true,
    edits: [
      edit("schedule/decide.ts", "if (nowAt - possibleAt > catchUpWindowMs) {", "if (nowAt < possibleAt) {"),
    ],
  },
  {
    name: "two-runs-of-a-schedule",
    claim: "A run of a schedule stands in the way of none that comes after it.",
    invariants: [33],
    within: 30,
    isOfSchedules: true,
    edits: [
      edit(
        "schedule/decide.ts",
        'return state.config.overlap !== "allow-all" && state.running.size > 0;',
        "return state.running.size < 0;",
      ),
    ],
  },
  {
    name: "paused-schedule-starts",
    claim: "A schedule that is paused starts at its times.",
    invariants: [33],
    within: 30,
    isOfSchedules: true,
    edits: [edit("schedule/decide.ts", "if (state.paused !== undefined) return null;", "")],
  },
  {
    name: "end-of-started-run-not-told",
    claim:
      "A schedule that went on as a new segment does not hear of the end of a run that it started before.",
    invariants: [32, 34],
    within: 1000,
    isOfSchedules: true,
    edits: [
      edit(
        "core/schedule-state.ts",
        "const state = new ScheduleState(carried?.incarnation ?? runId);",
        "const state = new ScheduleState(runId);",
      ),
    ],
  },
  {
    name: "start-sent-by-no-commit",
    claim: "A start of a schedule is recorded, and the message that makes it goes with another commit.",
    invariants: [3, 32],
    within: 30,
    isOfSchedules: true,
    edits: [edit("engine/coordinator.ts", "      ({ send } = step);\n", "")],
  },
  {
    name: "repeated-trigger-starts-again",
    claim: "A trigger that is repeated because its answer was lost is carried out again.",
    invariants: [3],
    within: 30,
    isOfSchedules: true,
    edits: [edit("core/schedule-state.ts", "this.#answer(event, startedId);", "")],
  },
  {
    name: "reset-draws-again",
    claim: "Behind the point of a reset the code has the random numbers that the old run had.",
    invariants: [61],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "program/runtime.ts",
        "    if (identity.runId !== this.#identity.runId) this.#random = undefined;\n",
        "",
      ),
    ],
  },
  {
    name: "reset-with-another-key",
    claim: "An activity that is open at the point of a reset has an idempotency key of the new run.",
    invariants: [61],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "engine/dispatcher.ts",
        "this.key = keyRunId === address.runId ? this.place : keyOf(keyRunId, address.ordinal);",
        "this.key = this.place;",
      ),
    ],
  },
  {
    name: "fork-with-the-same-key",
    claim: "An activity that is open at the point of a fork keeps the idempotency key of the original.",
    invariants: [62],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "replay/run-state.ts",
        "this.activities.set(ordinal, toBeginAnew(activity, event.recordedAt, owner));",
        "this.activities.set(ordinal, toBeginAnew(activity, event.recordedAt));",
      ),
    ],
  },
  {
    name: "reset-loses-signals",
    claim: "Signals that reached the runs behind the one that is reset are not carried on.",
    invariants: [22, 61],
    within: 100,
    isOfResets: true,
    edits: [
      edit(
        "engine/reset-source.ts",
        "    signals.push(...events.slice(copiedCount(started, events)).filter(isSignal));\n",
        "",
      ),
    ],
  },
  {
    name: "reset-doubles-signals",
    claim: "A signal that was told before the point is carried on once more.",
    invariants: [22, 61],
    within: 10,
    isOfResets: true,
    edits: [
      edit("engine/reset-source.ts", "const isNew = !known.has(signalId);", "const isNew = true;"),
      edit(
        "engine/reset-source.ts",
        "events.filter(isSignal).filter(({ seq }) => seq > afterSeq)",
        "events.filter(isSignal)",
      ),
    ],
  },
  {
    name: "reset-tells-the-parent",
    claim: "The parent of a run that is reset is told that it was terminated.",
    invariants: [34],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "engine/closing.ts",
        'terminal.resetTo === undefined ? { type: "ChildWorkflowTerminated" } : undefined',
        '{ type: "ChildWorkflowTerminated" }',
      ),
    ],
  },
  {
    name: "reset-ends-its-children",
    claim: "Children that the new run takes over are told that their parent has ended.",
    invariants: [35, 61],
    within: 30,
    isOfResets: true,
    edits: [edit("engine/resetting.ts", ".filter(([ordinal]) => !taken.has(ordinal))", "")],
  },
  {
    name: "reset-made-again",
    claim: "A reset that is repeated because its answer was lost is made once more.",
    invariants: [3, 61],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "engine/resetting.ts",
        "requestId === undefined || requestId !== asked.requestId) return false;",
        "true) return false;",
      ),
    ],
  },
  {
    name: "result-of-a-reset",
    claim: "Who waits for a run that is reset hears that it was terminated.",
    invariants: [61],
    within: 10,
    isOfResets: true,
    edits: [
      edit(
        "core/run-chain.ts",
        'return terminal.type === "WorkflowTerminated" ? terminal.resetTo : undefined;',
        "return undefined;",
      ),
    ],
  },
  {
    name: "carried-as-they-come",
    claim:
      "Signals that are carried on are told where they stand, and not one after the other behind the point.",
    invariants: [41, 61],
    within: 30,
    isOfResets: true,
    edits: [
      edit("replay/run-state.ts", "this.pausing.carry(event.carriedSignals ?? 0);", "this.pausing.carry(0);"),
    ],
  },
];
