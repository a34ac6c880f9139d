/** `EventTarget`, `Event` and `CustomEvent` without a tree: what has no parents needs no bubbling. */
import { defineInterface } from "./define.ts";
import { DOMException } from "./dom-exception.ts";

type Listener = ((event: Event) => unknown) | { handleEvent(event: Event): unknown };

interface Registration {
  readonly listener: Listener;
  readonly isCapture: boolean;
  readonly isOnce: boolean;
  readonly isPassive: boolean;
  isRemoved: boolean;
}

type Registrations = Map<string, Registration[]>;

const none = 0;
const capturingPhase = 1;
const atTarget = 2;
const bubblingPhase = 3;

/** The state of an event is its own; dispatching reaches it through here. */
let dispatch: (event: Event, target: EventTarget, registrations: Registrations) => boolean;

export class Event {
  static readonly NONE = none;
  static readonly CAPTURING_PHASE = capturingPhase;
  static readonly AT_TARGET = atTarget;
  static readonly BUBBLING_PHASE = bubblingPhase;

  readonly #type: string;
  readonly #bubbles: boolean;
  readonly #cancelable: boolean;
  readonly #composed: boolean;
  /** The time of the run. */
  readonly #timeStamp = Date.now();
  #target: EventTarget | null = null;
  #currentTarget: EventTarget | null = null;
  #isDispatched = false;
  #isPrevented = false;
  #isPassive = false;
  #isStopped = false;
  #isStoppedAtOnce = false;

  constructor(...given: readonly [type?: unknown, init?: unknown]) {
    if (given.length === 0) throw new TypeError('The "type" argument must be specified');
    this.#type = String(given[0]);
    this.#bubbles = readFlag(given[1], "bubbles");
    this.#cancelable = readFlag(given[1], "cancelable");
    this.#composed = readFlag(given[1], "composed");
  }

  static {
    dispatch = (event, target, registrations) => {
      if (event.#isDispatched) {
        throw new DOMException("The event is already being dispatched", "InvalidStateError");
      }
      event.#isDispatched = true;
      event.#target = target;
      event.#currentTarget = target;
      // Listeners that are added meanwhile wait for the next event; those that are removed are passed over.
      const present = [...(registrations.get(event.#type) ?? [])];
      for (const registration of event.#isStopped ? [] : present) {
        if (registration.isRemoved) continue;
        if (registration.isOnce) remove(registrations, event.#type, registration);
        event.#isPassive = registration.isPassive;
        notify(registration.listener, target, event);
        event.#isPassive = false;
        if (event.#isStoppedAtOnce) break;
      }
      event.#isDispatched = false;
      event.#currentTarget = null;
      event.#isStopped = false;
      event.#isStoppedAtOnce = false;
      return !event.#isPrevented;
    };
  }

  get type(): string {
    return this.#type;
  }
  get bubbles(): boolean {
    return this.#bubbles;
  }
  get cancelable(): boolean {
    return this.#cancelable;
  }
  get composed(): boolean {
    return this.#composed;
  }
  get target(): EventTarget | null {
    return this.#target;
  }
  get srcElement(): EventTarget | null {
    return this.#target;
  }
  get currentTarget(): EventTarget | null {
    return this.#currentTarget;
  }
  get eventPhase(): number {
    return this.#isDispatched ? atTarget : none;
  }
  get defaultPrevented(): boolean {
    return this.#isPrevented;
  }
  get returnValue(): boolean {
    return !this.#isPrevented;
  }
  get cancelBubble(): boolean {
    return this.#isStopped;
  }
  set cancelBubble(isStopped: boolean) {
    if (isStopped) this.#isStopped = true;
  }
  get timeStamp(): number {
    return this.#timeStamp;
  }
  get isTrusted(): boolean {
    return false;
  }
  composedPath(): EventTarget[] {
    return this.#currentTarget === null ? [] : [this.#currentTarget];
  }
  preventDefault(): void {
    if (this.#cancelable && !this.#isPassive) this.#isPrevented = true;
  }
  stopPropagation(): void {
    this.#isStopped = true;
  }
  stopImmediatePropagation(): void {
    this.#isStopped = true;
    this.#isStoppedAtOnce = true;
  }
}

class CustomEvent extends Event {
  readonly #detail: unknown;

  constructor(...given: readonly [type?: unknown, init?: unknown]) {
    super(...given);
    const init = given[1];
    const detail: unknown = isObject(init) ? Reflect.get(init, "detail") : undefined;
    this.#detail = detail ?? null;
  }

  get detail(): unknown {
    return this.#detail;
  }
}

export class EventTarget {
  readonly #registrations: Registrations = new Map();

  addEventListener(type: unknown, listener: unknown, options?: unknown): void {
    const signal: unknown = isObject(options) ? Reflect.get(options, "signal") : undefined;
    if (signal !== undefined && !(signal instanceof EventTarget)) {
      throw new TypeError('The "options.signal" property must be an instance of AbortSignal');
    }
    if (signal !== undefined && Reflect.get(signal, "aborted") === true) return;
    if (listener === null || listener === undefined) return;
    if (!isObject(listener))
      throw new TypeError('The "listener" argument must be an instance of EventListener');

    const registration: Registration = {
      listener: listener as Listener,
      isCapture: isCapture(options),
      isOnce: readFlag(options, "once"),
      isPassive: readFlag(options, "passive"),
      isRemoved: false,
    };
    const name = String(type);
    const present = this.#registrations.get(name) ?? [];
    if (find(present, registration) !== undefined) return;
    this.#registrations.set(name, [...present, registration]);
    signal?.addEventListener("abort", () => remove(this.#registrations, name, registration), { once: true });
  }

  removeEventListener(type: unknown, listener: unknown, options?: unknown): void {
    const name = String(type);
    const registration = find(this.#registrations.get(name) ?? [], {
      listener: listener as Listener,
      isCapture: isCapture(options),
    });
    if (registration !== undefined) remove(this.#registrations, name, registration);
  }

  dispatchEvent(event: unknown): boolean {
    if (!(event instanceof Event)) throw new TypeError('The "event" argument must be an instance of Event');
    return dispatch(event, this, this.#registrations);
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function readFlag(init: unknown, name: string): boolean {
  return isObject(init) && Boolean(Reflect.get(init, name));
}

/** The options may be this one flag. */
function isCapture(options: unknown): boolean {
  return isObject(options) ? readFlag(options, "capture") : Boolean(options);
}

function find(
  registrations: readonly Registration[],
  { listener, isCapture: capture }: Pick<Registration, "listener" | "isCapture">,
): Registration | undefined {
  return registrations.find((it) => it.listener === listener && it.isCapture === capture);
}

function remove(registrations: Registrations, type: string, registration: Registration): void {
  registration.isRemoved = true;
  const rest = (registrations.get(type) ?? []).filter((it) => it !== registration);
  if (rest.length === 0) registrations.delete(type);
  else registrations.set(type, rest);
}

/** What a listener throws concerns neither the others nor who dispatched: it is an unhandled rejection of the run. */
function notify(listener: Listener, target: EventTarget, event: Event): void {
  try {
    if (typeof listener === "function") Reflect.apply(listener, target, [event]);
    else listener.handleEvent(event);
  } catch (error) {
    void Promise.reject(error);
  }
}

export function installEvents(global: object): void {
  for (const [name, value] of Object.entries({
    NONE: none,
    CAPTURING_PHASE: capturingPhase,
    AT_TARGET: atTarget,
    BUBBLING_PHASE: bubblingPhase,
  })) {
    Object.defineProperty(Event.prototype, name, { value, enumerable: true });
  }
  defineInterface(global, "Event", Event);
  defineInterface(global, "CustomEvent", CustomEvent);
  defineInterface(global, "EventTarget", EventTarget);
}
