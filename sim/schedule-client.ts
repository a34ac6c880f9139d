import type { Service } from "../src/client/service.ts";
import type { ErrorCode } from "../src/core/errors.ts";
import type { Payload } from "../src/core/payload.ts";
import type { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import type { Asked, KnownSchedule, ScheduleOracle } from "./schedule-oracle.ts";
import type { ScheduleOperation } from "./schedule-plan.ts";

type Answer<Reply> = { readonly reply: Reply } | { readonly refusal: ErrorCode };

export interface ScheduleClientOptions {
  readonly name: string;
  readonly oracle: ScheduleOracle;
  readonly dice: Dice;
  readonly nowMs: () => number;
  /** Asks until there is an answer. */
  readonly ask: <Reply>(
    verb: string,
    run: (service: Service) => Promise<Reply>,
    mayBe: readonly ErrorCode[],
  ) => Promise<Answer<Reply>>;
}

const listPage = 2;

/** What a client asks of schedules. Each answer is held against what is on disk at that moment. Throws `SimulationFailure`. */
export class ScheduleClient {
  readonly #of: ScheduleClientOptions;
  #tidyCount = 0;

  constructor(of: ScheduleClientOptions) {
    this.#of = of;
  }

  async operate(operation: ScheduleOperation): Promise<void> {
    const { oracle, nowMs } = this.#of;
    const { scheduleId, requestId } = operation;
    const request = { scheduleId, requestId };
    switch (operation.ask) {
      case "create": {
        const { asked, workflowType, isPaused } = operation;
        oracle.asked.set(requestId, asked);
        const input = (workflowType.startsWith("p") ? '{"round":0}' : '"scheduled"') as Payload;
        // An id that was used before is another schedule, and what the first one started may still be there.
        const action = { workflowType, input, workflowIdPrefix: `${scheduleId}-${requestId}` };
        const answer = await this.#ask("create", request, (service) =>
          service.createSchedule({ ...request, ...toConfig(asked), action, isPaused }),
        );
        if ("reply" in answer) this.#demandAnswered(request);
        return;
      }
      case "update": {
        const { asked } = operation;
        oracle.asked.set(requestId, asked);
        const answer = await this.#ask("update", request, (service) =>
          service.updateSchedule({ ...request, ...toConfig(asked) }),
        );
        if ("reply" in answer) this.#demandAnswered(request);
        return;
      }
      case "trigger": {
        const { overlap } = operation;
        for (let time = 0; time < 2; time++) {
          const answer = await this.#ask("trigger", request, (service) =>
            service.triggerSchedule({ ...request, ...(overlap === undefined ? {} : { overlap }) }),
          );
          if (!("reply" in answer)) return;
          // I-3: asked again it is the same.
          const { workflowId } = answer.reply;
          const recorded = oracle.answerTo(requestId);
          if (recorded !== workflowId || !oracle.isStarted(scheduleId, workflowId))
            this.#fail("acknowledged-trigger", `${workflowId} was told, and recorded was ${recorded}`);
        }
        return;
      }
      case "backfill": {
        const toAt = nowMs() - 1;
        const range = { fromAt: toAt - operation.ms, toAt, overlap: operation.overlap };
        // The clock of an engine may be behind, and there may be no time in the range.
        const answer = await this.#ask(
          "backfill",
          request,
          (service) => service.backfillSchedule({ ...request, ...range }),
          ["invalid_argument"],
        );
        if ("reply" in answer) this.#demandAnswered(request);
        return;
      }
      case "pause":
      case "resume": {
        const { ask } = operation;
        const answer = await this.#ask(ask, request, (service) =>
          ask === "pause" ? service.pauseSchedule(request) : service.resumeSchedule(request),
        );
        if ("reply" in answer && oracle.answerTo(requestId) === undefined)
          this.#fail(`acknowledged-${ask}`, `${requestId} is not on disk`);
        return;
      }
      case "delete":
        return this.#delete(request);
      case "describe": {
        const before = oracle.latest(scheduleId);
        const startsBefore = before?.starts.size ?? 0;
        const answer = await this.#ask("describe", request, (service) =>
          service.describeSchedule({ scheduleId }),
        );
        if (!("reply" in answer) || before === undefined) return;
        const after = oracle.latest(scheduleId);
        if (after !== before) return;
        const { startedCount } = answer.reply;
        // I-9, I-27
        if (startedCount > after.starts.size || startedCount < startsBefore - after.refused.size)
          this.#fail(
            "schedule-described",
            `${scheduleId} is told to have started ${startedCount}, and it was ${startsBefore} to ${after.starts.size}`,
          );
      }
    }
  }

  /** Deletes what others have left, and finds it in the list. */
  async tidy(): Promise<void> {
    const { oracle, dice } = this.#of;
    const there = oracle.live;
    const listed: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = { limit: listPage, ...(cursor === undefined ? {} : { cursor }) };
      const answer = await this.#of.ask("list-schedules", (service) => service.listSchedules(page), []);
      if (!("reply" in answer)) return;
      listed.push(...answer.reply.schedules.map(({ scheduleId }) => scheduleId));
      cursor = answer.reply.nextCursor;
      if (cursor === undefined) break;
    }
    const left = new Set(oracle.live);
    const missing = there.find((scheduleId) => left.has(scheduleId) && !listed.includes(scheduleId));
    if (missing !== undefined) this.#fail("schedule-listed", `${missing} is there, and is not listed`);
    for (const scheduleId of listed) {
      this.#tidyCount += 1;
      const request = { scheduleId, requestId: `${this.#of.name} ${this.#tidyCount}` };
      await this.#delete(request);
      if (dice.chance(0.3)) await this.#delete(request);
    }
  }

  async #delete(request: { readonly scheduleId: string; readonly requestId: string }): Promise<void> {
    const answer = await this.#ask("delete", request, (service) => service.deleteSchedule(request));
    if ("reply" in answer) this.#demandAnswered(request);
  }

  /** I-20: what is there all the time is not said to be gone. */
  async #ask<Reply>(
    ask: string,
    { scheduleId }: { readonly scheduleId: string },
    run: (service: Service) => Promise<Reply>,
    mayBe: readonly ErrorCode[] = [],
  ): Promise<Answer<Reply>> {
    const { oracle } = this.#of;
    const before = oracle.latest(scheduleId);
    const wasThere = before?.isDeleted === false;
    const answer = await this.#of.ask(`${ask}-schedule`, run, mayBe);
    if (!("refusal" in answer)) return answer;
    const { refusal } = answer;
    const isThere = wasThere && isSame(before, oracle.latest(scheduleId));
    if (refusal === "schedule_not_found" && isThere) this.#fail("told-gone", `${scheduleId} is there`);
    if (refusal === "run_blocked") this.#fail("schedule-held", `${scheduleId} is held`);
    if (refusal === "schedule_already_exists" && oracle.latest(scheduleId) === undefined)
      this.#fail("schedule-taken", `${scheduleId} is not there`);
    return answer;
  }

  /** I-3 */
  #demandAnswered({
    scheduleId,
    requestId,
  }: {
    readonly scheduleId: string;
    readonly requestId: string;
  }): void {
    if (this.#of.oracle.answerTo(requestId) === undefined)
      this.#fail("acknowledged-schedule", `${scheduleId}: ${requestId} is not on disk`);
  }

  #fail(kind: string, what: string): never {
    throw new SimulationFailure(kind, `${this.#of.name}: ${what}`);
  }
}

function isSame(before: KnownSchedule | undefined, now: KnownSchedule | undefined): boolean {
  return before === now && now?.isDeleted === false;
}

function toConfig({ rule, overlap, windowMs, jitterMs }: Asked) {
  if (rule.kind !== "interval") throw new Error("clients of these worlds have intervals");
  const { everyMs, offsetMs } = rule;
  return { spec: { intervals: [{ everyMs, offsetMs }], jitterMs }, overlap, catchUpWindowMs: windowMs };
}
