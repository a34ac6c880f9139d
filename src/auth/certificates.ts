import type { Grant } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import type { PeerCertificate } from "../http/peer.ts";
import { unauthenticated } from "./gatekeeper.ts";
import type { Proof } from "./gatekeeper.ts";
import { parseGrants } from "./grants.ts";

/** Who shows a certificate that has the name may do that. */
export interface CertificateRule {
  /** Exactly so: `CN=worker-1`, `DNS:worker-1.example`, `URI:spiffe://example/worker`, `email:ann@example.com`. */
  readonly match: string;
  /** Who that is. Default: `match`. */
  readonly subject?: string;
  readonly grants: readonly (Grant | string)[];
}

/** Error: `invalid_argument`. */
export function certificateProver(
  rules: readonly CertificateRule[],
  now: () => number = Date.now,
): (certificate: PeerCertificate) => Proof | undefined {
  const parsed = rules.map(({ match, subject = match, grants }) => {
    if (!/^(?:CN=|DNS:|URI:|email:)./.test(match)) {
      throw new AionError("invalid_argument", `${JSON.stringify(match)} is no name in a certificate`, {
        hint: "Write it as CN=name, DNS:name, URI:name or email:name.",
      });
    }
    return { match, subject: parseName(subject, "subject"), grants: parseGrants(grants) };
  });
  return ({ names, fingerprint, expiresAt }) => {
    const found = parsed.filter(({ match }) => names.includes(match));
    const [first] = found;
    if (first === undefined) return undefined;
    const whyOver = (): AionError | undefined =>
      now() < expiresAt ? undefined : unauthenticated("the certificate has expired");
    const why = whyOver();
    if (why !== undefined) throw why;
    return {
      principal: { subject: `cert:${first.subject}`, grants: found.flatMap(({ grants }) => grants) },
      id: `cert:${fingerprint}`,
      whyOver,
      lookAt: () => expiresAt,
    };
  };
}
