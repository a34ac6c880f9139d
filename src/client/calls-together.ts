import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";
import { callTimeoutMs, readAnswer, readJson } from "./http-answer.ts";
import type { HttpAnswer, HttpSend } from "./http-answer.ts";
import type { JsonObject } from "./json-form.ts";
import { callsMax, togetherMethods } from "./routes.ts";
import type { Service } from "./service.ts";

/** From so many calls under way on, one more waits so long for others. */
const manyCalls = 32;
const waitForOthersMs = 4;
/** UTF-16 units of the calls of one request. A larger one goes alone. */
const textMax = 256 * 1024;

interface Call {
  readonly text: string;
  readonly alone: () => Promise<HttpAnswer>;
  resolve(answer: JsonObject): void;
  reject(error: unknown): void;
}

/**
 * Sends calls that are made at once in one request: hundreds of requests cost their sender and the server more than what is asked for.
 * Owner: one service.
 *
 * A call that has no company goes alone, at once. Each has its own answer, as soon as it is there, and its own error.
 */
export class CallsTogether {
  readonly #send: HttpSend;
  readonly #path: string;
  #waiting: Call[] = [];
  #waitingLength = 0;
  #underWay = 0;
  /** The server knows no such request. */
  #isRefused = false;
  /** As many as one request may hold: a server may say that it takes fewer. */
  #most = callsMax;

  constructor(send: HttpSend, path: string) {
    this.#send = send;
    this.#path = path;
  }

  takes(method: keyof Service): boolean {
    return !this.#isRefused && (togetherMethods as readonly string[]).includes(method);
  }

  /** `alone`: makes the call without company. */
  call(
    operation: keyof Service,
    request: JsonObject,
    trace: TraceContext | undefined,
    alone: () => Promise<HttpAnswer>,
  ): Promise<JsonObject> {
    const text = JSON.stringify({ operation, request, trace });
    return new Promise((resolve, reject) => {
      if (this.#waitingLength + text.length > textMax) this.#flush();
      this.#waiting.push({ text, alone, resolve, reject });
      this.#waitingLength += text.length;
      if (this.#waiting.length >= this.#most) this.#flush();
      else if (this.#waiting.length === 1) {
        const flush = (): void => this.#flush();
        if (this.#underWay < manyCalls) soon(flush);
        else setTimeout(flush, waitForOthersMs);
      }
    });
  }

  #flush(): void {
    const calls = this.#waiting;
    if (calls.length === 0) return;
    this.#waiting = [];
    this.#waitingLength = 0;
    this.#underWay += calls.length;
    if (calls.length === 1 || this.#isRefused) for (const call of calls) void this.#sendAlone(call);
    else void this.#sendTogether(calls);
  }

  async #sendAlone(call: Call): Promise<void> {
    try {
      call.resolve(readAnswer(await call.alone()));
    } catch (error) {
      call.reject(error);
    } finally {
      this.#underWay -= 1;
    }
  }

  async #sendTogether(calls: readonly Call[]): Promise<void> {
    const open = new Map(calls.entries());
    try {
      const answer = await this.#send({
        verb: "POST",
        path: this.#path,
        body: `{"calls":[${calls.map(({ text }) => text).join(",")}]}`,
        contentType: "application/json",
        timeoutMs: callTimeoutMs,
        onLine: (line) => {
          const { call: index, status, body } = parseLine(line);
          const call = open.get(index);
          if (call === undefined) return;
          open.delete(index);
          this.#underWay -= 1;
          try {
            call.resolve(status === 204 ? {} : readJson(status, body));
          } catch (error) {
            call.reject(error);
          }
        },
      });
      if (answer.status !== 200) readAnswer(answer);
      throw new AionError("transport_failed", "the answer ended before all calls were answered");
    } catch (error) {
      this.#underWay -= open.size;
      const code = isAionError(error) ? error.code : undefined;
      this.#isRefused ||= code === "endpoint_unknown";
      const most = isAionError(error) && code === "invalid_argument" ? error.details["callsMax"] : undefined;
      if (typeof most === "number" && most >= 1 && most < calls.length && open.size === calls.length) {
        // None of them was begun.
        this.#most = Math.min(this.#most, most);
        this.#underWay += calls.length;
        for (let at = 0; at < calls.length; at += most) void this.#sendTogether(calls.slice(at, at + most));
        return;
      }
      // Together they were too large, and none of them was begun.
      const isTooLarge = code === "payload_too_large" && open.size === calls.length;
      for (const call of open.values()) {
        if (!this.#isRefused && !isTooLarge) call.reject(error);
        else {
          this.#underWay += 1;
          void this.#sendAlone(call);
        }
      }
    }
  }
}

interface Line {
  readonly call: number;
  readonly status: number;
  readonly body?: unknown;
}

function parseLine(line: string): Line {
  try {
    return JSON.parse(line) as Line;
  } catch (error) {
    throw new AionError("transport_failed", `the answer is no line of JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** After what is to be done now; where there is no such turn, after what is queued. */
function soon(work: () => void): void {
  if (typeof setImmediate === "function") setImmediate(work);
  else queueMicrotask(work);
}
