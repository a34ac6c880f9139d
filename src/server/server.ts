import { createServer } from "node:net";
import type { AddressInfo, Server as NetServer } from "node:net";
import path from "node:path";
import { defaultNamespace } from "../client/routes.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError } from "../core/errors.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import { messageOf, payloadLimitBytesDefault } from "../core/payload.ts";
import { checkedSync } from "../core/payload-codec.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { EngineOptions } from "../embedded/engine.ts";
import { logToStderr } from "../embedded/stderr-log.ts";
import { answerHttp } from "../http/node-http.ts";
import type { HttpAnswers } from "../http/node-http.ts";
import { Metrics } from "../metrics/metrics.ts";
import { thisVersion } from "../store/sqlite/version.ts";
import { Door } from "./door.ts";
import type { AuthenticationOptions } from "./door.ts";
import { FairTurns, loopTurns } from "./fair-turns.ts";
import { admitLocal, isLoopback } from "./guard.ts";
import { Namespaces } from "./namespaces.ts";
import { meterProcess } from "./process-meter.ts";
import { TlsListener } from "./tls.ts";
import type { TlsOptions } from "./tls.ts";

export const defaultPort = 4_466;
const connectionsMaxDefault = 10_000;

/** Of the engines of all namespaces. */
const engineSettingNames = {
  residentMax: true,
  payloadLimitBytes: true,
  onNondeterminism: true,
  limits: true,
  onRunLimit: true,
  codec: true,
  lease: true,
  activationBudget: true,
  packageLimitBytes: true,
  packageMemoryMb: true,
  workflows: true,
  activities: true,
  activityConcurrency: true,
  activityConcurrencyPerType: true,
  workerSession: true,
  taskQueues: true,
  tracing: true,
} as const;

type EngineSettings = Pick<EngineOptions, keyof typeof engineSettingNames>;

export interface ServerOptions extends EngineSettings {
  /** The directory of the server's data, made if it is not there. */
  readonly data: string;
  /** Where it listens. Default `127.0.0.1`. Without authentication only addresses of this machine are taken. */
  readonly host?: string;
  /** How callers show who they are. Absent: nobody is asked, and whoever reaches this machine's own address may do everything. */
  readonly authentication?: AuthenticationOptions;
  /** Absent: it speaks without TLS, and so to this machine alone. */
  readonly tls?: TlsOptions;
  /** Another server ends TLS before this one, so that nobody else reaches it. Default false. */
  readonly behindTlsProxy?: boolean;
  /** Default 4466; 0: one that is free. */
  readonly port?: number;
  /** Namespaces that are made if they are not there. Default: `default`. */
  readonly namespaces?: readonly string[];
  /** Connections at once; more are not accepted. Default 10,000. */
  readonly connectionsMax?: number;
  /** The largest body of a request, in bytes; packages have a limit of their own. Default: as large as two of the largest payloads may be. */
  readonly requestLimitBytes?: number | undefined;
  /** Calls that one request may hold. Default 500. */
  readonly callsPerRequestMax?: number;
  /** Streams of events that one caller may have open at once. Default 1,000. */
  readonly streamsPerCallerMax?: number;
  /** Calls under way at once over one connection of HTTP/2; a client begins the others when some of them are over. Default 1,000. */
  readonly callsPerConnectionMax?: number;
  /** Bytes of all answers together that their callers have not taken; beyond it the largest are cut off. Default 256 MiB. */
  readonly unreadAnswersBytesMax?: number;
  readonly log?: Log;
}

const serverOptionNames: OptionNames<ServerOptions> = {
  data: true,
  host: true,
  port: true,
  authentication: true,
  tls: true,
  behindTlsProxy: true,
  namespaces: true,
  connectionsMax: true,
  requestLimitBytes: true,
  callsPerRequestMax: true,
  streamsPerCallerMax: true,
  callsPerConnectionMax: true,
  unreadAnswersBytesMax: true,
  log: true,
  ...engineSettingNames,
};
const authenticationNames: OptionNames<AuthenticationOptions> = {
  origins: true,
  jwt: true,
  certificates: true,
  failedAttemptsMax: true,
  auditRetention: true,
};

export interface ServerCloseOptions {
  /** How long attempts of activities may go on. Default 5 s. */
  readonly drain?: Duration;
}

const closeOptionNames: OptionNames<ServerCloseOptions> = { drain: true };

/**
 * Aion as a service: the namespaces of a directory, over HTTP on one port.
 *
 * @example
 * const server = await Server.open({ data: "./aion-data" });
 * const client = new Client({ url: server.url });
 */
export class Server {
  /** Where it answers. */
  readonly url: string;
  readonly #listener: NetServer;
  readonly #secure: TlsListener | undefined;
  readonly #answers: HttpAnswers;
  readonly #namespaces: Namespaces;
  readonly #closeRest: () => Promise<void>;
  #closing: Promise<void> | undefined;

  private constructor(of: {
    readonly url: string;
    readonly listener: NetServer;
    readonly secure: TlsListener | undefined;
    readonly answers: HttpAnswers;
    readonly namespaces: Namespaces;
    readonly closeRest: () => Promise<void>;
  }) {
    this.url = of.url;
    this.#listener = of.listener;
    this.#secure = of.secure;
    this.#answers = of.answers;
    this.#namespaces = of.namespaces;
    this.#closeRest = of.closeRest;
  }

  /**
   * Listens, then opens the namespaces: a port that is taken is found before anything is claimed. One that cannot be opened does not
   * keep the others from being there. Errors: `invalid_argument` (also of a codec, and what an engine does not take), `permission_denied` (an address that others reach),
   * `transport_failed` (the port), `store_unavailable` (the directory).
   */
  static async open(options: ServerOptions): Promise<Server> {
    demandKnownOptions(options, serverOptionNames, "a server");
    const {
      data,
      host = "127.0.0.1",
      port = defaultPort,
      log = logToStderr,
      connectionsMax,
      requestLimitBytes,
      callsPerRequestMax,
      streamsPerCallerMax,
      callsPerConnectionMax,
      unreadAnswersBytesMax,
      authentication,
      behindTlsProxy = false,
      tls,
      ...rest
    } = options;
    if (authentication !== undefined)
      demandKnownOptions(authentication, authenticationNames, "the authentication of a server");
    const { namespaces: names = [defaultNamespace], ...engine } = rest;
    demandSafeAddress({
      host,
      isAsking: authentication !== undefined,
      isEncrypted: behindTlsProxy || tls !== undefined,
    });
    // What is wrong with it would be found by each namespace, again and again.
    if (options.codec !== undefined) checkedSync(options.codec);
    const secure =
      tls === undefined ? undefined : new TlsListener(tls, log, (caller) => answers.take(caller));
    const metrics = new Metrics({ log });
    const meter = metrics.meter();
    const namespaces = new Namespaces({
      directory: path.join(data, "namespaces"),
      engine: { ...engine, metrics },
      turns: new FairTurns(loopTurns),
      log,
    });
    let isReady = false;
    const door =
      authentication === undefined
        ? undefined
        : await Door.open({ ...authentication, directory: data, isBehindProxy: behindTlsProxy, log });
    const admit = door?.admit ?? admitLocal;
    const enter = (name: string): Promise<void> | undefined => namespaces.enter(name, "calls");
    const answers = answerHttp({
      admit: async (asked) => {
        const admission = await admit(asked);
        const { namespace } = asked;
        if (namespace === undefined) return admission;
        // Who is turned away has no part in what the namespace is given; nothing of a body was read yet.
        await enter(namespace);
        return Object.assign(admission, { leave: () => enter(namespace) });
      },
      turnOfWorkers: (name) => namespaces.enter(name, "workers"),
      ...(door === undefined ? {} : { access: door, origins: authentication?.origins ?? [] }),
      serviceOf: (name) => namespaces.engineOf(name).service,
      workersOf: (name) => namespaces.engineOf(name),
      namespaces,
      isReady: () => isReady,
      meter,
      metrics: () => metrics.text(),
      payloadLimitBytes: engine.payloadLimitBytes ?? payloadLimitBytesDefault,
      limits: {
        ...(engine.packageLimitBytes === undefined ? {} : { packageBytes: engine.packageLimitBytes }),
        ...(requestLimitBytes === undefined ? {} : { requestBytes: requestLimitBytes }),
        ...(callsPerRequestMax === undefined ? {} : { callsPerRequest: callsPerRequestMax }),
        ...(streamsPerCallerMax === undefined ? {} : { streamsPerCaller: streamsPerCallerMax }),
        ...(callsPerConnectionMax === undefined ? {} : { callsPerConnection: callsPerConnectionMax }),
        ...(unreadAnswersBytesMax === undefined ? {} : { unreadAnswersBytes: unreadAnswersBytesMax }),
      },
      version: thisVersion(),
      log,
      tracing: engine.tracing,
    });
    const listener =
      secure?.server ?? createServer({ pauseOnConnect: true }, (caller) => answers.take(caller));
    listener.maxConnections = connectionsMax ?? connectionsMaxDefault;
    const close = async (): Promise<void> => {
      secure?.close();
      await door?.close();
    };
    const protocol = secure === undefined ? "http" : "https";
    const url = await listen(listener, { protocol, host, port }).catch(async (error: unknown) => {
      await close();
      throw error;
    });
    const stopMeters = [meterProcess(meter, thisVersion())];
    const closeRest = async (): Promise<void> => {
      for (const stop of stopMeters) stop();
      await close();
    };
    const server = new Server({ url, listener, secure, answers, namespaces, closeRest });
    stopMeters.push(meterState(meter, namespaces, () => isReady && server.#closing === undefined));
    try {
      await namespaces.open(names);
      isReady = true;
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** The namespaces, by name. */
  get namespaces(): ReturnType<Namespaces["list"]> {
    return this.#namespaces.list();
  }

  /**
   * Takes no more calls: those that wait are answered with `engine_closed`, the others with what they lead to. Then attempts of activities
   * may end, and the stores are given up. Calling it again waits for the same.
   */
  close(options: ServerCloseOptions = {}): Promise<void> {
    demandKnownOptions(options, closeOptionNames, "close of a server");
    this.#closing ??= this.#close(parseDuration(options.drain ?? 5_000, "drain"));
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    await this.#answers.close();
    this.#secure?.close();
    await this.#namespaces.close(drainMs);
    await closed;
    await this.#closeRest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function meterState(meter: Meter, namespaces: Namespaces, isReady: () => boolean): () => void {
  const ready = meter.gauge("aion_server_ready");
  const count = meter.gauge("aion_namespaces");
  return meter.collect(() => {
    ready.set(isReady() ? 1 : 0);
    for (const state of ["open", "unavailable"] as const)
      count.set(namespaces.list().filter((each) => each.state === state).length, state);
  });
}

/** Error: `permission_denied`. */
function demandSafeAddress(of: {
  readonly host: string;
  readonly isAsking: boolean;
  readonly isEncrypted: boolean;
}): void {
  const { host, isAsking, isEncrypted } = of;
  if (isLoopback(host)) return;
  if (!isAsking) {
    throw new AionError("permission_denied", `the server does not listen at ${host} without authentication`, {
      hint: "Set `auth` to `required`, and make a first key: `aion key create --data DIR --grant 'admin@*'`.",
    });
  }
  if (isEncrypted) return;
  throw new AionError("permission_denied", `the server does not listen at ${host} without TLS`, {
    hint: "Set `tlsCert` and `tlsKey`; or `behindTlsProxy`, if a proxy ends TLS and nobody else reaches the server.",
  });
}

async function listen(
  listener: NetServer,
  {
    protocol,
    host,
    port,
  }: { readonly protocol: "http" | "https"; readonly host: string; readonly port: number },
): Promise<string> {
  const listening = Promise.withResolvers<void>();
  listener.once("error", listening.reject);
  listener.listen(port, host, listening.resolve);
  try {
    await listening.promise;
  } catch (error) {
    throw new AionError("transport_failed", `cannot listen at ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
      hint: "Another server may listen there (it may be this one); stop it, or name another port.",
    });
  }
  const { port: actualPort } = listener.address() as AddressInfo;
  return `${protocol}://${host.includes(":") ? `[${host}]` : host}:${actualPort}`;
}
