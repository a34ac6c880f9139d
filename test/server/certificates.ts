/** An authority and the certificates that it signs, made by openssl for a test. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

export interface Made {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly #directory: string;
  readonly #name: string;
  #count = 0;

  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
    this.#openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", this.#file("ca.key"), "-out", this.ca],
    );
  }

  /** The file of its certificate. */
  get ca(): string {
    return this.#file("ca.pem");
  }

  sign(subject: string, alternative: string): Made {
    this.#count += 1;
    const [cert, key] = [this.#file(`${this.#count}.pem`), this.#file(`${this.#count}.key`)];
    const [request, extension] = [this.#file("request.pem"), this.#file("extension")];
    writeFileSync(extension, `subjectAltName=${alternative}\n`);
    this.#openssl(
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-subj", subject, "-keyout", key, "-out", request],
    );
    this.#openssl(
      ...["x509", "-req", "-in", request, "-CA", this.ca, "-CAkey", this.#file("ca.key"), "-CAcreateserial"],
      ...["-days", "1", "-extfile", extension, "-out", cert],
    );
    return { cert, key };
  }

  #file(name: string): string {
    return path.join(this.#directory, `${this.#name}-${name}`);
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { stdio: "pipe" });
  }
}

export const contents = ({ cert, key }: Made) => ({ cert: readFileSync(cert), key: readFileSync(key) });
