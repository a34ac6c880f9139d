import { routes } from "../client/routes.ts";
import type { Service } from "../client/service.ts";
import { isAionError } from "../core/errors.ts";
import type { Meter } from "../core/ports.ts";

type Method = (request: unknown, options?: unknown) => Promise<unknown>;

/** The same service, which counts its calls: how often, with what outcome, and how long they took. */
export function meteredService(service: Service, meter: Meter): Service {
  const calls = meter.counter("aion_calls_total");
  const seconds = meter.histogram("aion_call_seconds");
  const repeats = meter.counter("aion_repeats_answered_total");
  const metered = (name: keyof Service): Method => {
    const method = service[name].bind(service) as Method;
    return (request, options) => {
      const since = meter.now();
      const ended = (code: string): void => {
        calls.add(1, name, code);
        if (!waits(request)) seconds.observe((meter.now() - since) / 1_000, name);
      };
      const reply = method(request, options);
      reply.then(
        (value) => {
          ended("ok");
          if (name === "start" && isKnown(value)) repeats.add(1, name);
        },
        (error: unknown) => ended(isAionError(error) ? error.code : "internal"),
      );
      return reply;
    };
  };
  return Object.fromEntries(methods.map((name) => [name, metered(name)])) as unknown as Service;
}

const methods = Object.keys(routes) as (keyof Service)[];

/** How long those take is up to what they wait for. */
function waits(request: unknown): boolean {
  return ((request as { readonly waitMs?: number } | undefined)?.waitMs ?? 0) > 0;
}

/** The run was there. */
function isKnown(reply: unknown): boolean {
  return !(reply as { readonly isNew: boolean }).isNew;
}
