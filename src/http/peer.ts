import type { TLSSocket } from "node:tls";

/** Who is at the other end of a connection, as far as the connection tells. */
export interface Peer {
  /** The address of the other machine; `unknown`: there is none (a unix socket), or it was gone before it was asked. */
  readonly address: string;
  /** Over TLS that ends here. */
  readonly isEncrypted?: true;
  /** One that an authority which the server trusts has signed. */
  readonly certificate?: PeerCertificate;
}

export interface PeerCertificate {
  /** SHA-256 over it. */
  readonly fingerprint: string;
  /** What it speaks of: `CN=name`, and `DNS:…`, `URI:…`, `email:…` of its alternative names. */
  readonly names: readonly string[];
  readonly expiresAt: number;
}

const known = new WeakMap<object, Peer>();

/** Asked of each connection once: what a certificate says does not change while it lasts. */
export function peerOf(socket: unknown): Peer {
  if (typeof socket !== "object" || socket === null) return { address: "unknown" };
  let peer = known.get(socket);
  if (peer === undefined) {
    peer = readPeer(socket as TLSSocket);
    known.set(socket, peer);
  }
  return peer;
}

// Of HTTP/2 it is a proxy of the socket, which does not say by its class what it is.
function readPeer(socket: TLSSocket): Peer {
  const address = socket.remoteAddress?.replace(/^::ffff:/, "") ?? "unknown";
  const isTls = typeof socket.getPeerX509Certificate === "function" && socket.encrypted;
  if (!isTls) return { address };
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return { address, isEncrypted: true };
  return {
    address,
    isEncrypted: true,
    certificate: {
      fingerprint: certificate.fingerprint256,
      names: [...commonNames(certificate.subject), ...splitNames(certificate.subjectAltName)],
      expiresAt: certificate.validToDate.getTime(),
    },
  };
}

/** `CN=` lines of a subject, which is written one attribute a line. */
function commonNames(subject: string | undefined): readonly string[] {
  return (subject ?? "").split("\n").filter((line) => line.startsWith("CN=") && !/[\\+]/.test(line));
}

/**
 * The alternative names, as Node writes them: with `, ` between, and what holds such characters itself as a JSON string.
 * https://nodejs.org/api/tls.html#certificate-object
 */
export function splitNames(text: string | undefined): readonly string[] {
  const names: string[] = [];
  for (const [, kind = "", quoted, plain = ""] of (text ?? "").matchAll(
    /([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/gy,
  )) {
    names.push(`${kind}:${quoted === undefined ? plain : unquote(quoted)}`);
  }
  return names;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
