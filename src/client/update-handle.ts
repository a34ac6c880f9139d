import { abortable, callOptionNames } from "./abortable.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Failure } from "../core/failure.ts";
import { fromFailure } from "../core/failure.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";
import type { CallOptions, RunAddress, Service, UpdateReply } from "./service.ts";

/** One call waits no longer than this for what it asks for; longer waits are several calls. */
const waitPerCallMs = 60_000;

export interface UpdateResultOptions extends CallOptions {
  /** How long to wait for the outcome. Default: for as long as the handler takes. */
  readonly timeout?: Duration;
}

export interface UpdateOptions extends UpdateResultOptions {
  /** A second update with this id is the first one: give one wherever a call may be repeated. */
  readonly updateId?: string;
}

const resultOptionNames: OptionNames<UpdateResultOptions> = { timeout: true, ...callOptionNames };
const updateOptionNames: OptionNames<UpdateOptions> = { updateId: true, ...resultOptionNames };

/** An update by its id. */
export interface UpdateAddress extends RunAddress {
  readonly updateId: string;
}

/** An update that was accepted, as a client sees it; holds no connection. */
export class UpdateHandle<Answer = unknown> {
  readonly workflowId: string;
  /** The run that accepted it; of `getUpdate`, as that was asked. */
  readonly runId: string | undefined;
  readonly updateId: string;
  readonly #service: Service;
  readonly #address: UpdateAddress;
  #known: UpdateReply | undefined;

  constructor(service: Service, address: UpdateAddress, known?: UpdateReply) {
    this.#service = service;
    this.#address = address;
    this.#known = known;
    this.workflowId = address.workflowId;
    this.runId = address.runId;
    this.updateId = address.updateId;
  }

  /**
   * Waits for the outcome. Throws what the handler failed with, or an `EngineFailure` of type `update_unfinished` when its run ended
   * first. Errors: `update_not_found`, `result_timeout` (the update goes on), `run_blocked`, `run_not_found`.
   */
  async result(options: UpdateResultOptions = {}): Promise<Answer> {
    demandKnownOptions(options, resultOptionNames, "the result of an update");
    const wait = new Wait(options, `update ${this.updateId} of workflow ${this.workflowId} has no outcome`);
    for (let isFirst = true; ; isFirst = false) {
      // What was known when the handle was made costs no call.
      const known = isFirst ? this.#known : undefined;
      const reply =
        known !== undefined && (known.status === "completed" || known.status === "failed")
          ? known
          : await wait.call((waitMs, call) => this.#service.updateResult({ ...this.#address, waitMs }, call));
      if (reply.status === "completed") {
        this.#known = reply;
        return fromPayload(reply.result) as Answer;
      }
      if (reply.status === "failed") {
        this.#known = reply;
        throw fromFailure(reply.failure);
      }
      if (reply.status === "accepted" && reply.blocked !== undefined) {
        const why = `run ${reply.runId} of workflow ${this.workflowId} is blocked: ${reply.blocked}`;
        throw new AionError("run_blocked", why, { details: { ...this.#address, runId: reply.runId } });
      }
    }
  }
}

/** Makes an update, and waits until it is accepted, or has its outcome. */
export async function startUpdate(
  service: Service,
  address: RunAddress,
  request: { readonly name: string; readonly input: Payload },
  options: UpdateOptions,
  waitFor: "accepted" | "completed",
): Promise<UpdateHandle> {
  demandKnownOptions(options, updateOptionNames, `update ${JSON.stringify(request.name)}`);
  const { workflowId } = address;
  const wait = new Wait(
    options,
    `update ${JSON.stringify(request.name)} of workflow ${workflowId} was not taken up`,
  );
  let updateId = options.updateId === undefined ? undefined : parseName(options.updateId, "update id");
  for (;;) {
    const named = updateId === undefined ? {} : { updateId };
    let reply: UpdateReply;
    try {
      reply = await wait.call((waitMs, call) =>
        service.update({ ...address, ...request, ...named, waitMs, waitFor }, call),
      );
    } catch (error) {
      throw withCause(error);
    }
    ({ updateId } = reply);
    const { runId } = reply;
    if (reply.status !== "waiting") return new UpdateHandle(service, { workflowId, runId, updateId }, reply);
  }
}

/** Waits add up over several calls: the service waits as long as it is asked to, whatever clock it goes by. */
class Wait {
  readonly #timeoutMs: number;
  readonly #abortSignal: AbortSignal | undefined;
  readonly #what: string;
  #leftMs: number;

  constructor({ timeout, abortSignal }: UpdateResultOptions, what: string) {
    this.#timeoutMs =
      timeout === undefined ? Number.POSITIVE_INFINITY : parseDuration(timeout, "update timeout");
    this.#leftMs = this.#timeoutMs;
    this.#abortSignal = abortSignal;
    this.#what = what;
  }

  /** Error: `result_timeout`, at the call after the one whose wait was the last. */
  async call<Reply>(ask: (waitMs: number, options: CallOptions) => Promise<Reply>): Promise<Reply> {
    const waitMs = Math.min(this.#leftMs, waitPerCallMs);
    if (waitMs < 0) {
      const why = `${this.#what} within ${this.#timeoutMs} ms`;
      throw new AionError("result_timeout", why, { details: { timeoutMs: this.#timeoutMs } });
    }
    this.#leftMs -= waitMs;
    if (this.#leftMs <= 0) this.#leftMs = -1;
    return await abortable(this.#abortSignal, (options) => ask(waitMs, options));
  }
}

/** What the validator threw, as the class that it is. */
function withCause(error: unknown): unknown {
  if (!isAionError(error) || error.code !== "update_rejected") return error;
  const { code, message, hint, details } = error;
  const failure = details["failure"] as Failure | undefined;
  if (failure === undefined) return error;
  return new AionError(code, message, { hint, details, cause: fromFailure(failure) });
}
