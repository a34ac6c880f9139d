import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import type { Grant } from "../client/access.ts";
import { callsMax } from "../client/routes.ts";
import { parseDuration } from "../core/duration.ts";
import { packageBytesMax } from "../core/package-version.ts";
import { runLimitsDefault } from "../engine/run-limits.ts";
import type { RunLimits } from "../engine/run-limits.ts";
import type { ServerOptions } from "../server/server.ts";
import { messageOf } from "../core/payload.ts";
import { asUsage, usageError } from "./usage.ts";

/** As a number, or in decimal digits: `""`, `0x10` and `1e3` are none. */
const whole = (min: number, max: number): z.ZodType<number> =>
  z.preprocess(
    (value) => (typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value),
    z.number().int().min(min).max(max),
  );
const [second, hour, day] = [1_000, 3_600_000, 86_400_000];
/** `bounds`: what it may be, in milliseconds. Beyond it what depends on it does not work, or protects nobody. */
const duration = (
  what: string,
  bounds: readonly [least: number, most: number] = [0, Number.MAX_SAFE_INTEGER],
): z.ZodType<number> =>
  z
    .union([z.string(), z.number()])
    .transform((value) =>
      parseDuration(
        typeof value === "string" && /^\d+$/.test(value) ? Number(value) : (value as string),
        what,
      ),
    )
    .refine((ms) => ms >= bounds[0] && ms <= bounds[1], `must be from ${bounds[0]} to ${bounds[1]} ms`);

const names = z.union([
  z.array(z.string()),
  z.string().transform((text) => text.split(",").map((name) => name.trim())),
]);
const yesOrNo = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")]);
/** What is no JSON stays text, and is then no object. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const jsonOr = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (typeof value === "string" ? parseJson(value) : value), schema);
/** Whoever hands them on looks at what they say. */
const grants = z.array(z.union([z.string(), z.custom<Grant>((value) => typeof value === "object")]));
const certificateRule = z.strictObject({ match: z.string(), subject: z.string().exactOptional(), grants });
const claimRule = z.strictObject({ claim: z.string().min(1), value: z.string(), grants });

const limit = (name: keyof RunLimits): z.ZodDefault<z.ZodType<number>> =>
  whole(1, Number.MAX_SAFE_INTEGER).default(runLimitsDefault[name]);

/** Every setting of a server: its name in the file, its default, and what it is. The guide's table is made of it. */
const settingsSchema = z.strictObject({
  data: z
    .string()
    .min(1)
    .default("./aion-data")
    .meta({ description: "The directory of the server's data, made if it is not there." }),
  host: z.string().min(1).default("127.0.0.1").meta({
    description: "Where it listens. Without authentication only addresses of this machine are taken.",
  }),
  auth: z.enum(["none", "required"]).default("none").meta({
    description:
      "Whether callers must show who they are: by API keys (`aion key`). `none` is for development: whoever reaches the address may do everything.",
  }),
  origins: names.default([]).meta({
    description: "Web pages of these origins may call, besides those that the server itself has sent.",
  }),
  behindTlsProxy: yesOrNo.default(false).meta({
    description:
      "A proxy ends TLS before the server, and nobody else reaches it: then it listens at other addresses without TLS of its own.",
  }),
  tlsCert: z.string().min(1).optional().meta({
    description: "The certificate of the server (PEM). With it, it speaks TLS. Read again when it changes.",
  }),
  tlsKey: z.string().min(1).optional().meta({ description: "The key of the certificate (PEM)." }),
  tlsClientCa: z.string().min(1).optional().meta({
    description: "Authorities that sign certificates of callers (PEM): see `certificates`.",
  }),
  tlsClientCertificates: z.enum(["optional", "required"]).default("optional").meta({
    description: "Whether a caller without a certificate gets a connection at all.",
  }),
  certificates: jsonOr(z.array(certificateRule)).default([]).meta({
    description:
      'What callers with a certificate may do: `[{"match": "CN=worker-1", "grants": ["work@team-a"]}]`. In the environment: as JSON.',
  }),
  jwtIssuer: z.string().min(1).optional().meta({
    description: "Whose tokens (JWT) are taken, too: the `iss` that they must have.",
  }),
  jwtAudience: names.default([]).meta({ description: "For whom a token must be (`aud`): one of these." }),
  jwtJwks: z.string().min(1).optional().meta({
    description: "The keys of the issuer: a URL (`https:`), or a file.",
  }),
  jwtAlgorithms: names.default(["RS256", "PS256", "ES256", "EdDSA"]).meta({
    description: "How tokens may be signed.",
  }),
  jwtClockTolerance: duration("jwtClockTolerance", [0, hour])
    .default(30_000)
    .meta({ description: "How far the clock of the issuer may be apart." }),
  jwtGrantsClaim: z.string().min(1).default("aion_grants").meta({
    description: 'The claim that holds grants: `["read,start@team-a"]`.',
  }),
  jwtRules: jsonOr(z.array(claimRule)).default([]).meta({
    description:
      'What other claims grant: `[{"claim": "groups", "value": "ops", "grants": ["operate,read@*"]}]`. In the environment: as JSON.',
  }),
  failedAttemptsMax: whole(1, 1_000_000).default(100).meta({
    description:
      "Calls of one address within a minute that show nothing that holds; more are answered with `too_many_attempts`, for as long as they go on. Who shows what holds is let in all the same.",
  }),
  auditRetention: duration("auditRetention")
    .default(90 * day)
    .meta({ description: "How long the audit log keeps what was asked of the server (`aion audit`)." }),
  port: whole(0, 65_535).default(4_466).meta({ description: "Its port; 0: one that is free." }),
  namespaces: names.default(["default"]).meta({
    description:
      "Namespaces that are made if they are not there. In the environment: names with commas between.",
  }),
  connectionsMax: whole(1, 1_000_000)
    .default(10_000)
    .meta({ description: "Connections at once; more are not accepted." }),
  payloadLimitBytes: whole(1, 256 * 1024 * 1024)
    .default(2 * 1024 * 1024)
    .meta({ description: "The largest payload, in bytes." }),
  requestLimitBytes: whole(1_024, 1024 * 1024 * 1024)
    .optional()
    .meta({
      description:
        "The largest body of a request, in bytes; packages have a limit of their own. Default: four times `payloadLimitBytes` and 64 KiB, which two payloads need.",
    }),
  packageLimitBytes: whole(1, packageBytesMax).default(packageBytesMax).meta({
    description:
      "The largest package that may be deployed, in bytes; a store takes none that is larger than the default. Packages are stored as they are: unpacked they are no larger, and they have five files.",
  }),
  callsPerRequestMax: whole(1, 100_000).default(callsMax).meta({
    description: "Calls that one request (`/calls`) may hold. A client that is told of fewer sends fewer.",
  }),
  streamsPerCallerMax: whole(1, 1_000_000).default(1_000).meta({
    description:
      "Streams of events that one caller may have open at once: by who he is or, where nobody is asked, by his address. More are refused with `too_many_streams`.",
  }),
  callsPerConnectionMax: whole(1, 1_000_000).default(1_000).meta({
    description:
      "Calls that may be under way at once over one connection of HTTP/2 (gRPC). A client begins others when some of them are over.",
  }),
  unreadAnswersBytesMax: whole(1024 * 1024, Number.MAX_SAFE_INTEGER)
    .default(256 * 1024 * 1024)
    .meta({
      description:
        "Bytes of all answers together that their callers have not taken yet. Beyond it the largest of those are cut off that were not taken at once.",
    }),
  codec: z.string().min(1).optional().meta({
    description:
      "A file with the keys, or a module with the codec, by which workflow code reads encrypted payloads. Default: it does not.",
  }),
  tracing: yesOrNo.default(false).meta({
    description:
      "Makes spans of calls, runs and activities, through OpenTelemetry: whose SDK is set up by a module that Node imports first (`NODE_OPTIONS=--import=…`).",
  }),
  residentMax: whole(1, 10_000_000)
    .default(2_000)
    .meta({ description: "Runs of a namespace whose code stays in memory while they wait." }),
  historyEventsWarn: limit("historyEventsWarn").meta({
    description:
      "From so many events of a run on its code is told to continue as new (`info().continueAsNewSuggested`), and a warning is logged.",
  }),
  historyBytesWarn: limit("historyBytesWarn").meta({
    description: "The same for what they take, in bytes.",
  }),
  historyEventsMax: limit("historyEventsMax").meta({
    description: "Events of one run. What becomes of one that has more, `onRunLimit` says.",
  }),
  historyBytesMax: limit("historyBytesMax").meta({ description: "The same for what they take, in bytes." }),
  pendingActivitiesMax: limit("pendingActivitiesMax").meta({
    description: "Activities of a run that have no outcome yet.",
  }),
  pendingTimersMax: limit("pendingTimersMax").meta({ description: "Timers of a run that have not fired." }),
  pendingChildrenMax: limit("pendingChildrenMax").meta({
    description: "Children of a run that have not ended.",
  }),
  pendingSendsMax: limit("pendingSendsMax").meta({
    description: "Signals of a run to other workflows that have not been answered.",
  }),
  waitingSignalsMax: limit("waitingSignalsMax").meta({
    description:
      "Signals that have come to a run, and that its code has not asked for; or that wait for one that is blocked. More are refused with `signals_full`.",
  }),
  pendingUpdatesMax: limit("pendingUpdatesMax").meta({
    description:
      "Updates of a run that are accepted and have no outcome yet. More are refused with `updates_pending`.",
  }),
  activationCommandsMax: limit("activationCommandsMax").meta({
    description: "What the code of a run may ask for before it waits for something.",
  }),
  onRunLimit: z.enum(["block", "fail"]).default("block").meta({
    description:
      "A run that reaches a limit is held (it goes on when the server is started with a larger one, and can be terminated), or it fails.",
  }),
  activationBudget: duration("activationBudget", [1, hour])
    .default(5_000)
    .meta({ description: "How long one activation of workflow code may take." }),
  packageMemoryMb: whole(16, 1_000_000)
    .default(512)
    .meta({ description: "The heap of the process that runs a namespace's workflow code, in MiB." }),
  workerSession: duration("workerSession", [second, day]).default(30_000).meta({
    description:
      "A worker that has been silent for this long is lost: its tasks are for others. So long a server that was started again waits for those that were at work.",
  }),
  taskQueues: z
    .preprocess(
      (value) => (typeof value === "string" ? parseJson(value) : value),
      z.record(
        z.string().min(1).max(255),
        z.strictObject({
          concurrency: whole(1, 1_000_000).exactOptional(),
          perSecond: z.number().positive().exactOptional(),
        }),
      ),
    )
    .default({})
    .meta({
      description:
        'What task queues allow, in each namespace: `{"emails": {"concurrency": 10, "perSecond": 5}}`. In the environment: as JSON.',
    }),
  lease: duration("lease", [second, day]).default(30_000).meta({
    description: "An owner of a namespace's file that has been silent for this long may be replaced.",
  }),
  drain: duration("drain", [0, day])
    .default(5_000)
    .meta({ description: "How long attempts of activities may go on when the server stops." }),
  log: z
    .enum(["text", "json"])
    .optional()
    .meta({ description: "How it writes its log to stderr. Default: text on a terminal, else json." }),
  logLevel: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .meta({ description: "What is not worth less than this is logged." }),
});

export type ServerSettings = z.output<typeof settingsSchema>;

const fileDefault = "aion.config.json";
const configVariable = "AION_CONFIG";

/** `activationBudget` is `AION_ACTIVATION_BUDGET`. */
export function variableOf(setting: string): string {
  return `AION_${setting.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** All that the settings of a server are read from. */
export const settingVariables: readonly string[] = [
  configVariable,
  ...Object.keys(settingsSchema.shape).map(variableOf),
];

/** `activationBudget` is `--activation-budget`. */
export function flagOf(setting: string): string {
  return `--${setting.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Flags, then the environment, then the file, then the defaults. Wrong usage: a setting that is none, or has not the form it must
 * have; a file that is named and cannot be read.
 */
export function loadConfiguration(
  flags: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): ServerSettings {
  const { config: named = environment[configVariable], ...given } = flags;
  const file = readFile(named);
  const settings: Record<string, unknown> = { ...file };
  const from = new Map(Object.keys(file).map((name) => [name, `${named ?? fileDefault}: ${name}`]));
  for (const name of Object.keys(settingsSchema.shape)) {
    const variable = environment[variableOf(name)];
    if (variable !== undefined && variable !== "") {
      settings[name] = variable;
      from.set(name, variableOf(name));
    }
    const flag = given[name];
    if (flag !== undefined) {
      settings[name] = flag;
      from.set(name, flagOf(name));
    }
  }
  const parsed = asUsage(() => settingsSchema.safeParse(settings));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = String(issue?.path[0] ?? "");
  const where = from.get(name) ?? named ?? fileDefault;
  throw usageError(
    `${where}: ${issue?.message ?? "it is not a setting"}`,
    "`aion server --help` and docs/server.md have the settings.",
  );
}

function readFile(named: string | undefined): object {
  const file = named ?? fileDefault;
  if (named === undefined && !existsSync(file)) return {};
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw usageError(`cannot read ${file}: ${messageOf(error)}`, "Name a file with a JSON object in it.");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw usageError(`${file} holds no JSON object`, "Write the settings as the fields of one object.");
}

/** For the guide: name, variable, default and what it is. */
export function describeSettings(): readonly {
  readonly name: string;
  readonly variable: string;
  readonly standard: string;
  readonly text: string;
}[] {
  return Object.entries(settingsSchema.shape).map(([name, schema]) => {
    const standard: unknown = schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined;
    return {
      name,
      variable: variableOf(name),
      standard: standard === undefined ? "" : JSON.stringify(standard),
      text: schema.meta()?.description ?? "",
    };
  });
}

const limitNames = Object.keys(runLimitsDefault) as (keyof RunLimits)[];

/** Each limit of a run is a setting of its own. */
function toRunLimits(settings: Pick<ServerSettings, keyof RunLimits>): RunLimits {
  return Object.fromEntries(limitNames.map((name) => [name, settings[name]])) as unknown as RunLimits;
}

function withoutRunLimits<Settings extends object>(settings: Settings): Omit<Settings, keyof RunLimits> {
  const isLimit = (name: string): boolean => Object.hasOwn(runLimitsDefault, name);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !isLimit(name))) as unknown as Omit<
    Settings,
    keyof RunLimits
  >;
}

type OpeningSettings = Omit<ServerSettings, "log" | "logLevel" | "drain" | "codec" | "tracing">;

/** The settings as the server is opened with them. Wrong usage: those that make no sense without another. */
export function toServerOptions(settings: OpeningSettings): ServerOptions {
  const { auth, origins, auditRetention, failedAttemptsMax, certificates, ...rest } = settings;
  const { tlsCert, tlsKey, tlsClientCa, tlsClientCertificates, ...beyond } = rest;
  const { jwtIssuer, jwtAudience, jwtJwks, jwtAlgorithms, jwtClockTolerance, ...more } = beyond;
  const { jwtGrantsClaim, jwtRules, ...beside } = more;
  const options = withoutRunLimits(beside);
  const demand = (claim: boolean, what: string, hint: string): void => {
    if (!claim) throw usageError(what, hint);
  };
  const hasTls = tlsCert !== undefined && tlsKey !== undefined;
  demand(
    hasTls || (tlsCert ?? tlsKey) === undefined,
    "TLS needs a certificate and its key",
    "Set tlsCert and tlsKey.",
  );
  demand(hasTls || tlsClientCa === undefined, "certificates of callers need TLS", "Set tlsCert and tlsKey.");
  const hasCertificates = certificates.length > 0;
  demand(
    !hasCertificates || tlsClientCa !== undefined,
    "certificates of callers need an authority",
    "Set tlsClientCa.",
  );
  const hasJwt = jwtIssuer !== undefined && jwtJwks !== undefined && jwtAudience.length > 0;
  demand(
    hasJwt || ((jwtIssuer ?? jwtJwks) === undefined && jwtAudience.length === 0),
    "tokens need an issuer, its keys and an audience",
    "Set jwtIssuer, jwtJwks and jwtAudience.",
  );
  const isAsking = auth === "required";
  demand(
    isAsking || !(hasJwt || hasCertificates || origins.length > 0),
    "nobody is asked who he is",
    "Set auth to required: without it certificates, origins and the settings of tokens mean nothing.",
  );
  const jwt = {
    algorithms: jwtAlgorithms,
    clockTolerance: jwtClockTolerance,
    grantsClaim: jwtGrantsClaim,
    rules: jwtRules,
  };
  const authentication = {
    origins,
    auditRetention,
    failedAttemptsMax,
    ...(hasCertificates ? { certificates } : {}),
    ...(hasJwt ? { jwt: { issuer: jwtIssuer, audience: jwtAudience, jwks: jwtJwks, ...jwt } } : {}),
  };
  const callers =
    tlsClientCa === undefined ? {} : { clientCa: tlsClientCa, clientCertificates: tlsClientCertificates };
  return {
    ...options,
    limits: toRunLimits(settings),
    ...(isAsking ? { authentication } : {}),
    ...(hasTls ? { tls: { cert: tlsCert, key: tlsKey, ...callers } } : {}),
  };
}
