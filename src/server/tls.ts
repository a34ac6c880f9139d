import { readFileSync, statSync } from "node:fs";
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
const handshakeTimeoutMs = 10_000;

/**
 * Connections over TLS 1.2 or later, once both sides are known; HTTP/2 or HTTP/1.1 as the caller would rather.
 *
 * Law: nobody is known by a certificate for longer than its authority is trusted.
 */
export class TlsListener {
  readonly server: TlsServer;
  readonly #options: TlsOptions;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  /** Who has shown a certificate, and is connected. */
  readonly #callers = new Set<TLSSocket>();
  #stamp: string;
  #authorities: string | undefined;

  /** Error: `invalid_argument` (the files). */
  constructor(options: TlsOptions, log: Log, take: (caller: TLSSocket) => void) {
    demandKnownOptions(options, optionNames, "the TLS of a server");
    this.#options = options;
    this.#log = log;
    this.#stamp = stampOf(options);
    const { clientCa, clientCertificates = "optional" } = options;
    const files = readFiles(options);
    this.#authorities = files.ca?.toString();
    this.server = createServer(
      {
        ...files,
        ALPNProtocols: ["h2", "http/1.1"],
        handshakeTimeout: handshakeTimeoutMs,
        requestCert: clientCa !== undefined,
        rejectUnauthorized: clientCa !== undefined && clientCertificates === "required",
      },
      (caller) => {
        // One who shows a certificate means to be known by it: he is not to be taken for somebody without.
        const isShown = caller.getPeerX509Certificate() !== undefined;
        if (isShown && !caller.authorized) {
          caller.destroy();
          return;
        }
        if (isShown) {
          this.#callers.add(caller);
          caller.once("close", () => this.#callers.delete(caller));
        }
        take(caller);
      },
    );
    this.#timer = setInterval(() => this.look(), lookMs).unref();
  }

  /** Takes the files that are there now, if they are others. What cannot be used leaves those of before. */
  look(): void {
    const stamp = stampOf(this.#options);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      const files = readFiles(this.#options);
      this.server.setSecureContext(files);
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

  close(): void {
    clearInterval(this.#timer);
  }
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
