/** What the SDKs of OpenTelemetry take as `idGenerator`. */
export interface IdGenerator {
  generateTraceId(): string;
  generateSpanId(): string;
}

/**
 * Where an id that is to be the next one waits. The file may be in a process twice (from source and built, or under two versions), so
 * it is on the global object.
 */
const place = Symbol.for("aion.otel.nextSpanId");

interface Place {
  [place]?: string | undefined;
}

/**
 * For the SDK of OpenTelemetry: gives spans of runs and activities the ids that follow from what they are spans of, and all others
 * random ones. With it a run is one span that holds all it did, though the span is written last, maybe months later and by another
 * process. Without it these spans stand beside one another, inside the span of whoever started the run.
 *
 * @example
 * const provider = new BasicTracerProvider({ idGenerator: new AionIdGenerator(), spanProcessors });
 */
export class AionIdGenerator implements IdGenerator {
  readonly #otherwise: IdGenerator;

  /** `otherwise`: makes all other ids. Default: random ones. */
  constructor(otherwise: IdGenerator = randomIds) {
    this.#otherwise = otherwise;
  }

  readonly generateTraceId = (): string => this.#otherwise.generateTraceId();

  readonly generateSpanId = (): string => {
    const global = globalThis as Place;
    const next = global[place];
    global[place] = undefined;
    return next ?? this.#otherwise.generateSpanId();
  };
}

/** Makes a span, whose id is that one if the SDK has our generator. */
export function withSpanId<Span>(spanId: string, make: () => Span): Span {
  const global = globalThis as Place;
  global[place] = spanId;
  try {
    return make();
  } finally {
    // Nobody asked for it: no SDK, or one with another generator.
    global[place] = undefined;
  }
}

const randomIds: IdGenerator = {
  generateTraceId: () => randomHex(16),
  generateSpanId: () => randomHex(8),
};

function randomHex(bytes: number): string {
  for (;;) {
    const digits = Array.from(crypto.getRandomValues(new Uint8Array(bytes)), toHex).join("");
    // All zeros means "none".
    if (/[1-9a-f]/.test(digits)) return digits;
  }
}

function toHex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** 64 bits of FNV-1a, mixed by the finalizer of MurmurHash3: 16 hexadecimal digits that are never all 0. */
export function spanIdOf(seed: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(seed))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  hash = BigInt.asUintN(64, (hash ^ (hash >> 33n)) * 0xff51afd7ed558ccdn);
  hash = BigInt.asUintN(64, (hash ^ (hash >> 33n)) * 0xc4ceb9fe1a85ec53n);
  hash ^= hash >> 33n;
  return (hash === 0n ? 1n : hash).toString(16).padStart(16, "0");
}
