import { AionError, isAionError, unreachable } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { encodeError } from "../program/answer.ts";
import type { Answer } from "../program/border.ts";
import type { HostReply, HostRequest } from "./protocol.ts";
import { Realm } from "./realm.ts";

export interface RealmHostOptions {
  /** The script made from `src/guest/main.ts`. */
  readonly guest: string;
  /** Calls back when all that is queued now is done, rejections that nobody handled being told. */
  readonly turn: (callback: () => void) => void;
  readonly reply: (replies: readonly HostReply[]) => void;
  /** Told what it is busy with: an instance, a call (negative), or nothing (0). */
  readonly busy?: (who: number) => void;
}

/**
 * Runs the code of packages: one realm for each, many instances in it. Requests in, replies out, so that it may be in a process
 * of its own.
 *
 * Law: one instance's code moves at a time, to where it can move no further.
 */
export class RealmHost {
  readonly #options: RealmHostOptions;
  readonly #realms = new Map<string, Realm>();
  readonly #realmOf = new Map<number, Realm>();
  readonly #failed = new Map<number, string>();
  #moving: number[] = [];
  #replies: HostReply[] = [];
  #isTurnAsked = false;

  constructor(options: RealmHostOptions) {
    this.#options = options;
  }

  take(requests: readonly HostRequest[]): void {
    for (const request of requests) this.#take(request);
    this.#options.busy?.(0);
    this.#flush();
    this.#askTurn();
  }

  /** A rejection that nobody handled. False: of no code here. */
  reject(error: unknown): boolean {
    for (const realm of this.#realms.values()) if (realm.reject(error)) return true;
    return false;
  }

  #take(request: HostRequest): void {
    switch (request.kind) {
      case "load":
        this.#answer(request.call, () => {
          const realm = new Realm(request, this.#options.guest, {
            log: (instance, level, message, fields) =>
              this.#replies.push({ kind: "log", instance, level, message, fields }),
            stray: (instance, error) => this.#replies.push({ kind: "stray", instance, error }),
          });
          this.#realms.set(request.version, realm);
          return JSON.stringify({ ok: true, value: realm.contents } satisfies Answer<unknown>);
        });
        return;
      case "unload":
        this.#realms.delete(request.version);
        return;
      case "create": {
        const { instance, version, workflowType, init } = request;
        this.#options.busy?.(instance);
        const realm = this.#realms.get(version);
        const answer = attempt(() =>
          demand(realm, `package ${version}`).create(instance, workflowType, init),
        );
        // Told when it is first to move.
        if (isRefusal(answer)) this.#failed.set(instance, answer);
        else if (realm !== undefined) this.#realmOf.set(instance, realm);
        return;
      }
      case "begin": {
        const { instance, activation } = request;
        this.#options.busy?.(instance);
        const failed =
          this.#failed.get(instance) ??
          attempt(() => {
            demand(this.#realmOf.get(instance), `instance ${instance}`).begin(instance, activation);
            return accepted;
          });
        if (failed === accepted) this.#moving.push(instance);
        else this.#replies.push({ kind: "turn", instance, answer: failed });
        return;
      }
      case "dispose":
        this.#realmOf.get(request.instance)?.dispose(request.instance);
        this.#realmOf.delete(request.instance);
        this.#failed.delete(request.instance);
        return;
      case "query":
        this.#answer(request.call, () => {
          const { instance, name, payload } = request;
          return demand(this.#realmOf.get(instance), `instance ${instance}`).query(instance, name, payload);
        });
        return;
      case "parse-instance-signal":
        this.#answer(request.call, () => {
          const { instance, name, payload } = request;
          const realm = demand(this.#realmOf.get(instance), `instance ${instance}`);
          return realm.parseInstanceSignal(instance, name, payload);
        });
        return;
      case "parse-instance-result":
        this.#answer(request.call, () => {
          const { instance, ordinal, payload } = request;
          const realm = demand(this.#realmOf.get(instance), `instance ${instance}`);
          return realm.parseInstanceResult(instance, ordinal, payload);
        });
        return;
      case "parse-input":
        this.#answer(request.call, () => {
          const { version, workflowType, payload } = request;
          return demand(this.#realms.get(version), `package ${version}`).parseInput(workflowType, payload);
        });
        return;
      case "parse-signal":
        this.#answer(request.call, () => {
          const { version, workflowType, name, payload } = request;
          return demand(this.#realms.get(version), `package ${version}`).parseSignal(
            workflowType,
            name,
            payload,
          );
        });
        return;
      default:
        unreachable(request, "request");
    }
  }

  #answer(call: number, work: () => string): void {
    this.#options.busy?.(-call);
    this.#replies.push({ kind: "answer", call, answer: attempt(work) });
  }

  #askTurn(): void {
    if (this.#isTurnAsked || this.#moving.length === 0) return;
    this.#isTurnAsked = true;
    this.#options.turn(() => {
      this.#isTurnAsked = false;
      const moving = this.#moving;
      this.#moving = [];
      for (const instance of moving) this.#end(instance);
      this.#options.busy?.(0);
      this.#flush();
      this.#askTurn();
    });
  }

  #end(instance: number): void {
    const realm = this.#realmOf.get(instance);
    if (realm === undefined) return;
    this.#options.busy?.(instance);
    const answer = attempt(() => {
      const ended = realm.end(instance);
      if (ended === again) realm.drain();
      return ended;
    });
    if (answer === again) this.#moving.push(instance);
    else this.#replies.push({ kind: "turn", instance, answer });
  }

  #flush(): void {
    if (this.#replies.length === 0) return;
    const replies = this.#replies;
    this.#replies = [];
    this.#options.reply(replies);
  }
}

const accepted = "";
const again = JSON.stringify({ ok: true, value: "again" } satisfies Answer<unknown>);

function attempt(work: () => string): string {
  try {
    return work();
  } catch (error) {
    const told = isAionError(error)
      ? error
      : new AionError("internal", `the host of a package failed: ${messageOf(error)}`);
    return JSON.stringify({ ok: false, error: encodeError(told) } satisfies Answer<unknown>);
  }
}

function isRefusal(answer: string): boolean {
  return answer.startsWith('{"ok":false');
}

function demand<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new AionError("internal", `the host has no ${what}`);
  return value;
}
