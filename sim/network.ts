import type { Service } from "../src/client/service.ts";
import { AionError } from "../src/core/errors.ts";
import type { Dice } from "./dice.ts";
import type { EngineLife } from "./engine-life.ts";
import type { FaultKind } from "./plan.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";

export interface NetworkOptions {
  readonly schedule: Schedule;
  readonly dice: Dice;
  readonly statistics: Statistics;
  readonly meets: (kind: FaultKind, share: number) => boolean;
  /** Engines that serve clients, or believe they do. */
  readonly engines: () => readonly EngineLife[];
}

/**
 * What lies between clients and engines: requests and replies take their time, get lost, and come twice. An engine's death
 * closes its connections.
 */
export class Network {
  readonly #of: NetworkOptions;

  constructor(of: NetworkOptions) {
    this.#of = of;
  }

  /** One request to an engine. Rejects with `transport_failed` when no answer comes. `onTwice`: it is delivered a second time. */
  request<Reply>(
    client: Actor,
    what: string,
    of: { readonly timeoutMs: number; readonly onTwice: () => void },
    run: (service: Service, life: EngineLife) => Promise<Reply>,
  ): Promise<Reply> {
    const { schedule, dice, statistics, meets, engines } = this.#of;
    return new Promise((resolve, reject) => {
      const lane = (): Lane => new Lane(client);
      const fail = (why: string): void => reject(new AionError("transport_failed", why));
      const [first] = engines();
      if (first === undefined) {
        schedule.after(dice.int(50, 1_000), lane(), `${what}: no engine`, () => fail("no engine answers"));
        return;
      }
      const life = dice.pick(engines());
      const { service } = life;
      let replyCount = 0;
      const forget = life.onGone(() => {
        schedule.after(dice.int(0, 50), lane(), `${what}: connection closed`, () => {
          if (replyCount === 0) settle(() => fail("the connection was closed"));
        });
      });
      const stopTimer = schedule.after(of.timeoutMs, lane(), `${what}: no reply`, () =>
        settle(() => fail("no reply")),
      );
      const settle = (pass: () => void): void => {
        replyCount += 1;
        forget();
        stopTimer();
        pass();
      };
      const isReplyLost = meets("reply-lost", 0.06);
      const reply = (pass: () => void): void => {
        if (isReplyLost) {
          statistics.note("reply lost");
          return;
        }
        schedule.after(this.#latency(), lane(), `${what}: reply`, () => {
          if (replyCount > 0) statistics.note("request answered twice");
          settle(pass);
        });
      };
      const deliver = (): void => {
        schedule.after(this.#latency(), new Lane(life), `serves ${what}`, () => {
          if (service === undefined) return;
          run(service, life).then(
            (value) => reply(() => resolve(value)),
            (error: unknown) => reply(() => reject(error)),
          );
        });
      };
      if (meets("request-lost", 0.06)) statistics.note("request lost");
      else deliver();
      if (meets("request-twice", 0.06)) {
        statistics.note("request delivered twice");
        of.onTwice();
        deliver();
      }
    });
  }

  #latency(): number {
    return this.#of.dice.pick([0, 0, 1, 3, 10]);
  }
}
