import { readFileSync, statSync } from "node:fs";
import { createServer as createNetServer } from "node:net";
import type { Server as NetServer, Socket } from "node:net";
import { createSecureContext, createServer } from "node:tls";
import type { SecureContextOptions, Server as TlsServer, TLSSocket } from "node:tls";
import { AionError } from "../core/errors.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import { messageOf } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";

/** Files in PEM. They are read again when they change, within ten seconds. */
export interface TlsOptions {
  /** The certificate of the server, and those between it and the authority. */
  readonly cert: string;
  readonly key: string;
  /** Authorities that sign certificates of callers. Absent: callers are asked for none. */
  readonly clientCa?: string;
  /** Whether a caller without one gets a connection at all. Default `"optional"`: a token will do as well. */
  readonly clientCertificates?: "optional" | "required";
}

const optionNames: OptionNames<TlsOptions> = {
  cert: true,
  key: true,
  clientCa: true,
  clientCertificates: true,
};
const lookMs = 10_000;
const handshakeTimeoutMsDefault = 10_000;
/** Refusals are told of once in so long: strangers are not to fill a log. */
const tellMs = 10_000;
/** Of who shows none where one is required. */
const noneShown = "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE";

/**
 * Connections over TLS 1.2 or later, once both sides are known; HTTP/2 or HTTP/1.1 as the caller would rather.
 *
 * Laws: nobody is known by a certificate for longer than its authority is trusted. Nobody is connected for longer than the time-out
 * without having shaken hands.
 */
export class TlsListener {
  readonly server: NetServer;
  readonly #options: TlsOptions;
  readonly #log: Log;
  readonly #take: (caller: TLSSocket) => void;
  readonly #handshakeTimeoutMs: number;
  readonly #timer: NodeJS.Timeout;
  /** All that there are, those amid their handshakes too. */
  readonly #connections = new Set<Socket>();
  /** Who has shown a certificate, and is connected. */
  readonly #callers = new Set<TLSSocket>();
  #stamp: string;
  #authorities: string | undefined;
  /** Since it was last told of. */
  #refusedCount = 0;
  #toldAt = -Infinity;
  /** Shakes hands with who comes from now on, by the files that were read last. */
  #handshakes: TlsServer;

  /** Error: `invalid_argument` (the files). */
  constructor(
    options: TlsOptions,
    log: Log,
    take: (caller: TLSSocket) => void,
    handshakeTimeoutMs = handshakeTimeoutMsDefault,
  ) {
    demandKnownOptions(options, optionNames, "the TLS of a server");
    this.#options = options;
    this.#log = log;
    this.#take = take;
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
    this.#stamp = stampOf(options);
    const files = readFiles(options);
    this.#authorities = files.ca?.toString();
    this.#handshakes = this.#toHandshakes(files);
    this.server = createNetServer((connection) => {
      this.#connections.add(connection);
      connection.once("close", () => this.#connections.delete(connection));
      this.#handshakes.emit("connection", connection);
    });
    this.#timer = setInterval(() => this.look(), lookMs).unref();
  }

  #toHandshakes(files: SecureContextOptions): TlsServer {
    const { clientCa, clientCertificates = "optional" } = this.#options;
    const authorities = files.ca?.toString();
    const handshakes = createServer(
      {
        ...files,
        ALPNProtocols: ["h2", "http/1.1"],
        handshakeTimeout: this.#handshakeTimeoutMs,
        requestCert: clientCa !== undefined,
        rejectUnauthorized: clientCa !== undefined && clientCertificates === "required",
      },
      (caller) => {
        // One who shows a certificate means to be known by it: he is not to be taken for somebody without.
        const isShown = caller.getPeerX509Certificate() !== undefined;
        // Who began before the authorities were others was asked for those of before.
        if (isShown && !(caller.authorized && authorities === this.#authorities)) {
          this.#tellRefusal(caller, caller.authorized ? "its authority was withdrawn" : whyUntrusted(caller));
          caller.destroy();
          return;
        }
        if (isShown) {
          this.#callers.add(caller);
          caller.once("close", () => this.#callers.delete(caller));
        }
        this.#take(caller);
      },
    );
    handshakes.on("tlsClientError", (error: NodeJS.ErrnoException, caller) => {
      if (error.code === noneShown) this.#tellRefusal(caller, "it shows none");
      else if (whyUntrusted(caller) !== "") this.#tellRefusal(caller, whyUntrusted(caller));
      // Of one who takes too long Node only tells.
      caller.destroy();
    });
    return handshakes;
  }

  #tellRefusal({ remoteAddress }: TLSSocket, why: string): void {
    this.#refusedCount += 1;
    const now = performance.now();
    if (now - this.#toldAt < tellMs) return;
    this.#log("warn", "a caller was refused by its certificate", {
      // Where one is required Node tells of it when it has hung up, and does not know it any more.
      ...(remoteAddress === undefined ? {} : { address: remoteAddress }),
      why,
      count: this.#refusedCount,
    });
    this.#toldAt = now;
    this.#refusedCount = 0;
  }

  /** Takes the files that are there now, if they are others. What cannot be used leaves those of before. */
  look(): void {
    const stamp = stampOf(this.#options);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      const files = readFiles(this.#options);
      this.#handshakes = this.#toHandshakes(files);
      this.#log("info", "the certificates were read again");
      const authorities = files.ca?.toString();
      if (authorities === this.#authorities) return;
      this.#authorities = authorities;
      // Whose authority is still one comes again, and is let in.
      for (const caller of this.#callers) caller.destroy();
    } catch (error) {
      this.#log("error", "the certificates cannot be used; those of before stay", {
        error: messageOf(error),
      });
    }
  }

  /** Disconnects whoever is left: those amid their handshakes are known to nobody else. */
  close(): void {
    clearInterval(this.#timer);
    for (const connection of this.#connections) connection.destroy();
  }
}

/** Why a certificate is not trusted, in the words of OpenSSL; empty: it is, or there is none. */
function whyUntrusted({ authorizationError }: TLSSocket): string {
  // Node types it as an error, and has a text: https://nodejs.org/api/tls.html#tlssocketauthorizationerror
  return authorizationError === undefined || authorizationError === null ? "" : String(authorizationError);
}

function readFiles({ cert, key, clientCa }: TlsOptions): SecureContextOptions {
  try {
    const options: SecureContextOptions = {
      cert: readFileSync(cert),
      key: readFileSync(key),
      ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa) }),
      minVersion: "TLSv1.2",
    };
    // Says now what is wrong with them.
    createSecureContext(options);
    return options;
  } catch (error) {
    throw new AionError("invalid_argument", `the files for TLS cannot be used: ${messageOf(error)}`, {
      cause: error,
      hint: "`tlsCert` and `tlsKey` name a certificate and its key, `tlsClientCa` certificates, all in PEM.",
    });
  }
}

/** Changes when one of them does. */
function stampOf({ cert, key, clientCa = "" }: TlsOptions): string {
  return [cert, key, clientCa]
    .map((file) => {
      const found = file === "" ? undefined : statSync(file, { throwIfNoEntry: false });
      return found === undefined ? "" : `${found.ino} ${found.mtimeMs} ${found.size}`;
    })
    .join("\n");
}
